package protocol_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/postdate/postdate/protocol"
)

func TestSearchable_KeepsPlainValuesAndEscapesOthers(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]string{
		"customer_42": "customer_42", "50%": "50%", "a=b": "a=b", "ü 1": "ü 1", "": "",
		"what?": "=what%3F", "O'Neill": "=O%27Neill", `a"b\c`: "=a%22b%5Cc", "♡": "=%E2%99%A1", "=x": "==x", "100%?": "=100%25%3F", "\x00": "=%00", "a\xff": "=a%FF",
	} {
		found := protocol.Searchable(value)
		assert.Equal(t, want, found)
		assert.Equal(t, value, protocol.Unsearchable(found))
		assert.False(t, strings.ContainsAny(found, "'\"\\?♡\x00"), found)
	}
	assert.Equal(t, "=50%", protocol.Unsearchable("=50%"), "it was set before values were escaped")
}

func TestSearchableHash_IsShortAndNoOtherValue(t *testing.T) {
	t.Parallel()
	hash := protocol.SearchableHash(strings.Repeat("long", 100))
	assert.Equal(t, "=#0184fa9ce314", hash, "what stands in lists for years")
	assert.NotEqual(t, hash, protocol.SearchableHash("another"))
	for _, value := range []string{hash, hash[1:], "#" + hash} {
		assert.NotEqual(t, hash, protocol.Searchable(value))
	}
}
