package codec

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"
	"google.golang.org/protobuf/proto"
)

// secret is a text planted at a place.
func secret(place string) string { return planted + "(" + place + ")" }

func TestDataConverter_ConvertsAsTheDefaultOneDoes(t *testing.T) {
	t.Parallel()
	data := NewDataConverter(ringOf(t, "a"))
	payloads, err := data.ToPayloads(planted, 7, nil, []byte{1})
	require.NoError(t, err)
	for _, payload := range payloads.GetPayloads() {
		require.Equal(t, encoding, string(payload.GetMetadata()["encoding"]))
	}
	var text string
	var number int
	var nothing *string
	var octets []byte
	require.NoError(t, data.FromPayloads(payloads, &text, &number, &nothing, &octets))
	require.Equal(t, []any{planted, 7, (*string)(nil), []byte{1}}, []any{text, number, nothing, octets})
	require.Equal(t, `"`+planted+`"`, data.ToString(payloads.GetPayloads()[0]))

	planted, err := converter.GetDefaultDataConverter().ToPayload("sent by whoever reaches Temporal")
	require.NoError(t, err)
	require.ErrorIs(t, data.FromPayload(planted, &text), ErrUnencrypted)
}

func TestDataConverter_FailsTheTaskInWorkflowCodeAlone(t *testing.T) {
	t.Parallel()
	data := NewDataConverter(ringOf(t, "a"))
	foreign := encode(t, ringOf(t, "z"), payloadOf(t, planted))
	var text string
	require.ErrorIs(t, data.FromPayload(foreign, &text), ErrUnknownKey)

	taskFailing := data.(converter.ContextAware).WithWorkflowContext(nil)
	require.Panics(t, func() { _ = taskFailing.FromPayload(foreign, &text) })
	own := encode(t, ringOf(t, "a"), payloadOf(t, planted))
	require.NoError(t, taskFailing.FromPayload(own, &text))
	var number int
	require.Error(t, taskFailing.FromPayload(own, &number), "what is no matter of keys stays an error")
}

func TestFailureConverter_EncryptsMessagesCausesAndDetails(t *testing.T) {
	t.Parallel()
	failures := NewFailureConverter(NewDataConverter(ringOf(t, "a")))
	cause := errors.New(secret("cause"))
	failure := failures.ErrorToFailure(temporal.NewApplicationErrorWithCause(secret("message"), "Planted", cause, secret("details")))
	given := proto.CloneOf(failure)
	wire, err := proto.Marshal(failure)
	require.NoError(t, err)
	require.NotContains(t, string(wire), planted)

	for range 2 { // as often as one likes: the failure stays encrypted
		got, ok := errors.AsType[*temporal.ApplicationError](failures.FailureToError(failure))
		require.True(t, ok)
		require.Equal(t, secret("message"), got.Message())
		require.Equal(t, "Planted", got.Type())
		require.EqualError(t, errors.Unwrap(got), secret("cause"))
		var details string
		require.NoError(t, got.Details(&details))
		require.Equal(t, secret("details"), details)
		require.True(t, proto.Equal(given, failure))
		require.True(t, proto.Equal(given, failures.ErrorToFailure(got)), "what is passed on stays encrypted")
	}
	require.NoError(t, failures.FailureToError(nil))
}

func TestFailureConverter_SaysWhatItCannotRead(t *testing.T) {
	t.Parallel()
	sealed := NewFailureConverter(NewDataConverter(ringOf(t, "z"))).ErrorToFailure(
		temporal.NewApplicationErrorWithCause(planted, "Planted", errors.New(planted), planted))
	got := NewFailureConverter(NewDataConverter(ringOf(t, "a"))).FailureToError(sealed)
	require.ErrorContains(t, got, `key "z": not in the key ring`)
	require.ErrorContains(t, errors.Unwrap(got), `key "z": not in the key ring`)
	app, ok := errors.AsType[*temporal.ApplicationError](got)
	require.True(t, ok)
	var details string
	require.ErrorIs(t, app.Details(&details), ErrUnknownKey)
}
