package local

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
)

// Context returns what the CDK would hand to the app: the context of cdk.json at a path,
// overridden by each KEY=VALUE of the list. [params.Parse] reads the result.
func Context(path string, overrides []string) (map[string]any, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w; run squidfleet in the project's directory, where cdk.json is", err)
	}
	if err != nil {
		return nil, err
	}
	file := struct{ Context map[string]any }{map[string]any{}}
	if err := json.Unmarshal(text, &file); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	for _, override := range overrides {
		key, value, found := strings.Cut(override, "=")
		if !found || key == "" {
			return nil, fmt.Errorf("-c %s: is not KEY=VALUE", override)
		}
		file.Context[key] = value
	}
	return file.Context, nil
}
