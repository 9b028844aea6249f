package postdate

import (
	"encoding/json"
	"strings"
	"unicode/utf8"
)

// maxKey bounds where a key is, in characters.
const maxKey = 256

// validateKey checks where the key of an endpoint's records is: the name of a member of the
// data, or a JSON pointer into it.
func validateKey(pointer, key string) error {
	if utf8.RuneCountInString(key) > maxKey || !utf8.ValidString(key) {
		return Errorf(Invalid, pointer, "at most %d characters: the name of a member of the data, or a JSON pointer that begins with /", maxKey)
	}
	return nil
}

var pointerTokens = strings.NewReplacer("~1", "/", "~0", "~")

// KeyIn is the key of a record with those data, where key says: "" where there is none, or
// where it is no string, number or boolean.
func KeyIn(data []byte, key string) string {
	tokens := []string{key}
	if rest, isPointer := strings.CutPrefix(key, "/"); isPointer {
		tokens = strings.Split(rest, "/")
		for i, token := range tokens {
			tokens[i] = pointerTokens.Replace(token)
		}
	}
	for _, token := range tokens {
		var members map[string]json.RawMessage
		if json.Unmarshal(data, &members) != nil {
			return ""
		}
		data = members[token]
	}
	var text string
	switch {
	case len(data) == 0 || data[0] == '{' || data[0] == '[' || string(data) == "null":
		return ""
	case json.Unmarshal(data, &text) == nil:
		return text
	default:
		return string(data) // a number as it is written, or a boolean
	}
}
