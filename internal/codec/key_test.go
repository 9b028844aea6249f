package codec

import (
	"bytes"
	"encoding/hex"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestKey_OpensTheVectorsOfXAES holds the derivation to the vectors of
// https://c2sp.org/XAES-256-GCM: the halves of the nonce stand where we put them.
func TestKey_OpensTheVectorsOfXAES(t *testing.T) {
	t.Parallel()
	for _, vector := range []struct {
		key        byte
		bound      string
		mask       string
		ciphertext string
	}{
		{1, "", "e531954aca063d5b8d9c47a47d4cc6f0", "ce546ef63c9cc60765923609b33a9a1974e96e52daf2fcf7075e2271"},
		{3, "c2sp.org/XAES-256-GCM", "23810ec50edb99f374409466ed1f4b7b", "986ec1832593df5443a179437fd083bf3fdb41abd740a21f71eb769d"},
	} {
		k, err := newKey("k", bytes.Repeat([]byte{vector.key}, keySize))
		require.NoError(t, err)
		require.Equal(t, vector.mask, hex.EncodeToString(k.mask[:]))

		k.bound = []byte(vector.bound)
		ciphertext, err := hex.DecodeString(vector.ciphertext)
		require.NoError(t, err)
		opened, err := k.open(append([]byte{format}, "ABCDEFGHIJKLMNOPQRSTUVWX"+string(ciphertext)...))
		require.NoError(t, err)
		require.Equal(t, "XAES-256-GCM", string(opened))
	}
}

func TestKey_SealsInPlaceAndNeverTheSameTwice(t *testing.T) {
	t.Parallel()
	k := ringOf(t, "a").first()
	seen := make(map[string]bool)
	for range 1000 {
		buf := append(make([]byte, headerSize, 100), "the same"...)
		sealed, err := k.seal(buf)
		require.NoError(t, err)
		require.Same(t, &buf[0], &sealed[0])
		salt, nonce := string(sealed[1:headerSize]), string(sealed[headerSize:headerSize+12])
		require.False(t, seen[salt] || seen[nonce])
		seen[salt], seen[nonce] = true, true
	}
}
