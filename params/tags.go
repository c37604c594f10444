package params

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"
)

// The limits are AWS's (https://docs.aws.amazon.com/tag-editor/latest/userguide/tagging.html),
// narrowed to what every service takes. A subnet has three tags of the CDK's: Name,
// aws-cdk:subnet-name and aws-cdk:subnet-type.
const (
	mostTags    = 50 - 3
	longestKey  = 128
	longestText = 256
)

const tagLimits = "key=value: letters, digits, single spaces and _ . : / + - @ (in the value also =), at most 128 " +
	"and 256 characters, no key that begins with aws: or squidfleet:"

var (
	tagKeyForm   = regexp.MustCompile(`^[\p{L}\p{N}_.:/+\-@]+(?: [\p{L}\p{N}_.:/+\-@]+)*$`)
	tagValueForm = regexp.MustCompile(`^(?:[\p{L}\p{N}_.:/=+\-@]+(?: [\p{L}\p{N}_.:/=+\-@]+)*)?$`)
)

func checkTag(s string) error {
	key, value, found := strings.Cut(s, "=")
	switch {
	case !found:
		return errors.New(show(s) + " has no =; give key=value, such as team=crawlers")
	case strings.HasPrefix(strings.ToLower(key), "aws:"):
		return errors.New(show(s) + " begins with aws:, which AWS keeps for itself; give another key")
	case strings.HasPrefix(key, ownTags):
		return errors.New(show(s) + " begins with " + ownTags + ", which the fleet's own tags do; give another key")
	case key == "Name", strings.HasPrefix(key, "aws-cdk:"):
		return errors.New(show(s) + " has a key that the CDK sets itself; give another key")
	case utf8.RuneCountInString(key) > longestKey:
		return fmt.Errorf("the key of %s is too long; give at most %d characters", show(s), longestKey)
	case utf8.RuneCountInString(value) > longestText:
		return fmt.Errorf("the value of %s is too long; give at most %d characters", show(s), longestText)
	case !tagKeyForm.MatchString(key) || !tagValueForm.MatchString(value):
		return errors.New(show(s) + " is not a tag that every service of AWS takes; give " + tagLimits)
	}
	return nil
}

// sameTagKey refuses two tags with one key.
func sameTagKey(earlier, later, path string, i int) string {
	key, _, _ := strings.Cut(earlier, "=")
	if !strings.HasPrefix(later, key+"=") {
		return ""
	}
	return fmt.Sprintf("%s has the key of %s[%d], %s; drop one of the two", later, path, i, earlier)
}
