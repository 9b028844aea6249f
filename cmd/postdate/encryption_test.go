package main

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/log"

	"github.com/postdate/postdate/internal/codec"
	"github.com/postdate/postdate/internal/enginetest"
)

// checkOf is the check of a process that has these keys, on the Temporal at address.
func checkOf(t *testing.T, address, keys string) *encryptionCheck {
	t.Helper()
	ring, err := codec.ParseRing(keys)
	require.NoError(t, err)
	data := codec.NewDataConverter(ring)
	c, err := client.Dial(client.Options{HostPort: address, DataConverter: data, Logger: log.NewStructuredLogger(enginetest.Quiet)})
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return &encryptionCheck{temporal: c, converter: data, keyIDs: ring.IDs()}
}

func TestEncryptionCheck_FindsOutKeysThatCannotReadWhatIsKept(t *testing.T) {
	t.Parallel()
	first, second, other := codec.Generate(), codec.Generate(), codec.Generate()
	var address string
	_, stop, err := enginetest.Start(func(o *client.Options) { address = o.HostPort })
	require.NoError(t, err)
	t.Cleanup(stop)
	mine := checkOf(t, address, first)
	require.NoError(t, mine.ensure(t.Context()))
	require.NoError(t, mine.ensure(t.Context()), "it is there already")

	foreign := checkOf(t, address, other)
	err = foreign.ensure(t.Context())
	require.ErrorContains(t, err, mine.keyIDs[0], "it names the key that is needed")
	require.ErrorContains(t, err, "POSTDATE_ENCRYPTION_KEYS")
	require.NotContains(t, err.Error(), other[len(other)-20:])

	// A rotation: the new key is added last, then moved to the front.
	require.NoError(t, checkOf(t, address, first+","+second).ensure(t.Context()))
	rotated := checkOf(t, address, second+","+first)
	require.NoError(t, rotated.ensure(t.Context()))
	sealedBy, err := rotated.open(t.Context())
	require.NoError(t, err)
	require.Equal(t, rotated.keyIDs[0], sealedBy, "the key that encrypts now")
	require.ErrorContains(t, mine.ready(t.Context()), rotated.keyIDs[0], "who has the old key alone cannot read what others write")
	require.NoError(t, checkOf(t, address, second).ensure(t.Context()), "the old key has served")
}
