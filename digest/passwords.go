package digest

import (
	"errors"
	"fmt"
	"strings"
)

// ParsePasswordFile reads lines "user:realm:HA1", with HA1 in 32 hex digits (MD5) or 64 (SHA-256),
// both or the former for each user. All lines must name the same realm, which is returned. Empty
// lines are allowed, and nothing else; errors name the line and nothing of a hash.
func ParsePasswordFile(data []byte) (realm string, users []User, err error) {
	index := make(map[string]int)
	number := 0
	for line := range strings.Lines(string(data)) {
		number++
		line = strings.TrimRight(line, "\r\n")
		if line == "" {
			continue
		}
		field := strings.Split(line, ":")
		if len(field) != 3 {
			return "", nil, fmt.Errorf("line %d: %d fields; user:realm:HA1 is needed", number, len(field))
		}
		if realm == "" {
			realm = field[1]
		}
		if field[1] != realm || realm == "" {
			return "", nil, fmt.Errorf("line %d: realm %q; one realm for all lines is needed", number, field[1])
		}
		i, ok := index[field[0]]
		if !ok {
			i = len(users)
			index[field[0]] = i
			users = append(users, User{Name: field[0]})
		}
		hash := &users[i].MD5
		if len(field[2]) == 64 {
			hash = &users[i].SHA256
		}
		if *hash != "" {
			return "", nil, fmt.Errorf("line %d: a second hash for %q", number, field[0])
		}
		if !isHash(field[2], MD5) && !isHash(field[2], SHA256) {
			return "", nil, fmt.Errorf("line %d: HA1 is not 32 or 64 hex digits", number)
		}
		*hash = field[2]
	}
	if len(users) == 0 {
		return "", nil, errors.New("no line with a user")
	}
	return realm, users, nil
}
