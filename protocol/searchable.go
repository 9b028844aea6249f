package protocol

import (
	"crypto/sha256"
	"encoding/hex"
	"net/url"
	"strings"
	"unicode/utf8"
)

// escaped begins a value of a search attribute that is escaped.
const escaped = "="

// Searchable is value as a search attribute has it, and as a query finds it. Most values
// stay as they are. Some characters cannot stand in a query: SQL visibility finds nothing
// by a quote or a backslash, and SQLite's fails; SQLite separates the values of a list by
// hearts; on PostgreSQL a question mark is taken for a parameter, and a zero byte refused.
func Searchable(value string) string {
	if !strings.HasPrefix(value, escaped) && !strings.ContainsFunc(value, isUnsearchable) {
		return value
	}
	var out strings.Builder
	out.WriteString(escaped)
	for rest := value; rest != ""; {
		r, size := utf8.DecodeRuneInString(rest)
		if r == '%' || isUnsearchable(r) {
			for _, b := range []byte(rest[:size]) {
				out.Write([]byte{'%', hexDigits[b>>4], hexDigits[b&0xf]})
			}
		} else {
			out.WriteRune(r)
		}
		rest = rest[size:]
	}
	return out.String()
}

const hexDigits = "0123456789ABCDEF"

func isUnsearchable(r rune) bool {
	return r < ' ' || r == utf8.RuneError || strings.ContainsRune(`'"\?♡`, r)
}

// SearchableHash stands for a value where a list has no room for all of its values: a query asks
// for both, and what it finds is compared with the value itself.
func SearchableHash(value string) string {
	sum := sha256.Sum256([]byte(value))
	return escaped + "#" + hex.EncodeToString(sum[:6])
}

// Unsearchable is the inverse of [Searchable].
func Unsearchable(value string) string {
	text, is := strings.CutPrefix(value, escaped)
	if !is {
		return value
	}
	text, err := url.PathUnescape(text)
	if err != nil {
		return value // it was set before values were escaped
	}
	return text
}
