package postdate_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate"
)

func TestKeyIn(t *testing.T) {
	t.Parallel()
	const data = `{"customer": "c_1", "a/b": {"~": 12345678901234567890}, "paid": true, "none": null, "lines": [1]}`
	for key, want := range map[string]string{
		"customer": "c_1", "/customer": "c_1", "/a~1b/~0": "12345678901234567890", "a/b": "", "paid": "true",
		"none": "", "lines": "", "/lines/0": "", "missing": "", "/": "",
	} {
		require.Equal(t, want, postdate.KeyIn([]byte(data), key), key)
	}
	require.Empty(t, postdate.KeyIn([]byte(`"text"`), "customer"))
	require.Empty(t, postdate.KeyIn(nil, "customer"))
}
