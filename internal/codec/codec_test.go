package codec

import (
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/sdk/converter"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

const planted = "planted-secret"

// payloadOf is value as Temporal's default converter makes a payload of it.
func payloadOf(tb testing.TB, value any) *commonpb.Payload {
	tb.Helper()
	payload, err := converter.GetDefaultDataConverter().ToPayload(value)
	require.NoError(tb, err)
	return payload
}

func encode(tb testing.TB, ring *Ring, payload *commonpb.Payload) *commonpb.Payload {
	tb.Helper()
	encoded, err := New(ring).Encode([]*commonpb.Payload{payload})
	require.NoError(tb, err)
	require.Len(tb, encoded, 1)
	return encoded[0]
}

func decode(ring *Ring, payload *commonpb.Payload) (*commonpb.Payload, error) {
	decoded, err := New(ring).Decode([]*commonpb.Payload{payload})
	if err != nil {
		return nil, err
	}
	return decoded[0], nil
}

func requireEqual(tb testing.TB, want, got *commonpb.Payload) {
	tb.Helper()
	require.True(tb, proto.Equal(want, got), "want %v, got %v", want, got)
}

func TestCodec_GivesBackWhatItWasGiven(t *testing.T) {
	t.Parallel()
	ring := ringOf(t, "a")
	for name, payload := range map[string]*commonpb.Payload{
		"json":    payloadOf(t, map[string]string{"amount": planted}),
		"bytes":   payloadOf(t, []byte{0, 1, 2, 255}),
		"nothing": payloadOf(t, nil),
		"empty":   {},
		"proto":   payloadOf(t, &commonpb.WorkflowType{Name: planted}),
		"large":   payloadOf(t, make([]byte, 2<<20)),
		"foreign": {Metadata: map[string][]byte{"encoding": []byte("binary/zlib"), "x": {0xff}}, Data: []byte(planted)},
	} {
		given := proto.CloneOf(payload)
		encoded := encode(t, ring, given)
		requireEqual(t, payload, given)
		wire, err := proto.Marshal(encoded)
		require.NoError(t, err)
		require.NotContains(t, string(wire), planted, name)
		require.Equal(t, encoding, string(encoded.GetMetadata()["encoding"]), name)
		require.Equal(t, "a", string(encoded.GetMetadata()["encryption-key-id"]), name)
		require.Len(t, encoded.GetMetadata(), 2, name)

		before := proto.CloneOf(encoded)
		decoded, err := decode(ring, encoded)
		require.NoError(t, err, name)
		requireEqual(t, payload, decoded)
		requireEqual(t, before, encoded)
	}
}

func TestCodec_KeepsTheOrderOfMany(t *testing.T) {
	t.Parallel()
	ring := ringOf(t, "a")
	var payloads []*commonpb.Payload
	for i := range 10 {
		payloads = append(payloads, payloadOf(t, i))
	}
	encoded, err := New(ring).Encode(payloads)
	require.NoError(t, err)
	encoded[3] = payloads[3]
	decoded, err := New(ring).Decode(encoded)
	require.NoError(t, err)
	for i := range payloads {
		requireEqual(t, payloads[i], decoded[i])
	}
}

func TestCodec_PassesOnWhatIsNotEncrypted(t *testing.T) {
	t.Parallel()
	for _, payload := range []*commonpb.Payload{
		nil, {}, payloadOf(t, "old data"), {Metadata: map[string][]byte{"encoding": []byte("binary/zlib")}, Data: []byte{1}},
	} {
		decoded, err := decode(ringOf(t, "a"), payload)
		require.NoError(t, err)
		require.Same(t, payload, decoded)
	}
}

func TestCodec_EncryptsTwiceWhatIsEncodedTwice(t *testing.T) {
	t.Parallel()
	ring := ringOf(t, "a")
	once := encode(t, ring, payloadOf(t, planted))
	decoded, err := decode(ring, encode(t, ring, once))
	require.NoError(t, err)
	requireEqual(t, once, decoded)
}

func TestCodec_RotatesKeys(t *testing.T) {
	t.Parallel()
	want := payloadOf(t, planted)
	old := encode(t, ringOf(t, "a"), want)

	added := ringOf(t, "a", "b")
	require.Equal(t, "a", string(encode(t, added, want).GetMetadata()[metadataKeyID]))
	moved := ringOf(t, "b", "a")
	renewed := encode(t, moved, want)
	require.Equal(t, "b", string(renewed.GetMetadata()[metadataKeyID]))
	for _, ring := range []*Ring{added, moved} {
		for _, payload := range []*commonpb.Payload{old, renewed} {
			decoded, err := decode(ring, payload)
			require.NoError(t, err)
			requireEqual(t, want, decoded)
		}
	}

	_, err := decode(ringOf(t, "b"), old)
	require.ErrorIs(t, err, ErrUnknownKey)
	require.EqualError(t, err, `decrypt payload: key "a": not in the key ring`)
}

func TestCodec_RefusesAnotherKeyOfTheSameID(t *testing.T) {
	t.Parallel()
	other, err := ParseRing("a:" + secretOf('x'))
	require.NoError(t, err)
	_, err = decode(other, encode(t, ringOf(t, "a"), payloadOf(t, planted)))
	require.ErrorIs(t, err, ErrUnreadable)
}

func TestCodec_NoticesEveryChange(t *testing.T) {
	t.Parallel()
	ring := ringOf(t, "a", "b")
	encoded := encode(t, ring, payloadOf(t, planted))
	for i := range encoded.GetData() { // format, salt, nonce, ciphertext, tag
		for _, flip := range []byte{1, 0x80, 0xff} {
			altered := proto.CloneOf(encoded)
			altered.Data[i] ^= flip
			_, err := decode(ring, altered)
			require.ErrorIs(t, err, ErrUnreadable, "byte %d", i)
		}
	}
	for n := range encoded.GetData() {
		altered := proto.CloneOf(encoded)
		altered.Data = altered.GetData()[:n]
		_, err := decode(ring, altered)
		require.ErrorIs(t, err, ErrUnreadable, "cut to %d bytes", n)
	}
	longer := proto.CloneOf(encoded)
	longer.Data = append(longer.Data, 0)
	_, err := decode(ring, longer)
	require.ErrorIs(t, err, ErrUnreadable)

	for id, want := range map[string]error{"b": ErrUnreadable, "": ErrUnknownKey, "c": ErrUnknownKey, "a\n": ErrUnknownKey} {
		altered := proto.CloneOf(encoded)
		altered.Metadata[metadataKeyID] = []byte(id)
		_, err := decode(ring, altered)
		require.ErrorIs(t, err, want, "%q", id)
	}
}

func TestCodec_TellsOfAnIDOnlySoMuch(t *testing.T) {
	t.Parallel()
	id := "\x1b[31m" + string(make([]byte, 10_000))
	_, err := decode(ringOf(t, "a"), &commonpb.Payload{
		Metadata: map[string][]byte{"encoding": []byte(encoding), metadataKeyID: []byte(id)},
	})
	require.ErrorIs(t, err, ErrUnknownKey)
	require.NotContains(t, err.Error(), "\x1b")
	require.Less(t, len(err.Error()), 300)
}

// recorded is "sealed for years" under the key a. Schedules sleep for years, so it
// must open for ever.
const recorded = `{"metadata":{"encoding":"YmluYXJ5L2VuY3J5cHRlZA==","encryption-key-id":"YQ=="},"data":"Aa7I3/nI4vn1Wj4SQULd09ys47k7yuSDtkGrlzwWUji6t9rAzNCQSPQgqguuupncURgpVwpWcwKF8lv0lOndTSzHtrjYObV+kFsj60KPN7/yYnKuOA=="}`

func readRecorded(tb testing.TB) *commonpb.Payload {
	tb.Helper()
	payload := &commonpb.Payload{}
	require.NoError(tb, protojson.Unmarshal([]byte(recorded), payload))
	return payload
}

func TestCodec_StillOpensWhatItOnceSealed(t *testing.T) {
	t.Parallel()
	decoded, err := decode(ringOf(t, "a"), readRecorded(t))
	require.NoError(t, err)
	requireEqual(t, payloadOf(t, "sealed for years"), decoded)
}

func TestCodec_ServesManyAtOnce(t *testing.T) {
	t.Parallel()
	ring := ringOf(t, "a", "b")
	var group sync.WaitGroup
	errs := make([]error, 16)
	for worker := range errs {
		group.Go(func() {
			want := payloadOf(t, fmt.Sprint("of worker ", worker))
			for range 200 {
				decoded, err := decode(ring, encode(t, ring, want))
				if err != nil || !proto.Equal(want, decoded) {
					errs[worker] = fmt.Errorf("worker %d: %w: %v", worker, err, decoded)
					return
				}
			}
		})
	}
	group.Wait()
	require.Empty(t, slices.DeleteFunc(errs, func(err error) bool { return err == nil }))
}
