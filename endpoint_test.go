package postdate_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate"
)

func validEndpoint() postdate.Endpoint {
	return postdate.Endpoint{
		ID: "ep_1", URL: "https://crm.example/hooks", EventTypes: []string{"*"},
		Mode: postdate.Standard, Signature: postdate.HMAC, State: postdate.Enabled,
	}
}

func TestEndpoint_RefusesWhatCouldNeverBeSentTo(t *testing.T) {
	t.Parallel()
	require.NoError(t, validEndpoint().Validate(false))
	for pointer, spoil := range map[string]func(*postdate.Endpoint){
		"/url":                  func(e *postdate.Endpoint) { e.URL = "http://crm.example" },
		"/description":          func(e *postdate.Endpoint) { e.Description = strings.Repeat("x", 257) },
		"/event_types/0":        func(e *postdate.Endpoint) { e.EventTypes = []string{"pay*ment"} },
		"/mode":                 func(e *postdate.Endpoint) { e.Mode = "morse" },
		"/signature":            func(e *postdate.Endpoint) { e.Signature = "v2" },
		"/timeout":              func(e *postdate.Endpoint) { e.Timeout = postdate.Duration(time.Hour) },
		"/headers":              func(e *postdate.Endpoint) { e.Headers = map[string]postdate.Secret{"x team": "a"} },
		"/headers/webhook-id":   func(e *postdate.Endpoint) { e.Headers = map[string]postdate.Secret{"webhook-id": "a"} },
		"/headers/webhook_id":   func(e *postdate.Endpoint) { e.Headers = map[string]postdate.Secret{"webhook_id": "a"} },
		"/headers/User_Agent":   func(e *postdate.Endpoint) { e.Headers = map[string]postdate.Secret{"User_Agent": "a"} },
		"/headers/Content-Type": func(e *postdate.Endpoint) { e.Headers = map[string]postdate.Secret{"Content-Type": "a"} },
		"/headers/x-team":       func(e *postdate.Endpoint) { e.Headers = map[string]postdate.Secret{"x-team": "a\r\nb: c"} },
		"/retry/factor":         func(e *postdate.Endpoint) { e.Retry = &postdate.Retry{Factor: 0.5} },
	} {
		e := validEndpoint()
		spoil(&e)
		var refused *postdate.Error
		require.ErrorAs(t, e.Validate(false), &refused, pointer)
		require.Equal(t, pointer, refused.Pointer)
	}
}

func TestEndpoint_WantsTheTypesItSubscribedTo(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		subscribed, published string
		wanted                bool
	}{
		{"*", "payment_request.due", true},
		{"payment_request.*", "payment_request.due", true},
		{"payment_request.*", "payment_request.due.again", true},
		{"payment_request.*", "payment_request", false},
		{"payment_request.*", "payment_requests.due", false},
		{"payment_request.due", "payment_request.due", true},
		{"payment_request.due", "payment_request.dues", false},
	} {
		e := postdate.Endpoint{EventTypes: []string{"other", c.subscribed}}
		require.Equal(t, c.wanted, e.Subscribes(c.published), "%+v", c)
	}
}

func TestEndpointPatch_ChangesWhatItNames(t *testing.T) {
	t.Parallel()
	var patch postdate.EndpointPatch
	require.NoError(t, json.Unmarshal([]byte(`{"url":"https://b.example","timeout":"5s","headers":{}}`), &patch))
	before := validEndpoint()
	before.Headers = map[string]postdate.Secret{"x-team": "billing"}
	after := patch.Apply(before)
	require.Equal(t, "https://b.example", after.URL)
	require.Equal(t, 5*time.Second, after.Timeout.Duration())
	require.Empty(t, after.Headers)
	require.Equal(t, before.EventTypes, after.EventTypes)
	require.Equal(t, before.Mode, after.Mode)
}

func TestSecret_DoesNotShow(t *testing.T) {
	t.Parallel()
	const text = "whsec_topsecret"
	var logged strings.Builder
	log := slog.New(slog.NewTextHandler(&logged, nil))
	target := postdate.Target{Secrets: []postdate.Secret{text}, Headers: map[string]postdate.Secret{"x-token": text}}
	log.Info("sent", "secret", postdate.Secret(text), "target", target)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		shown := fmt.Sprintf(verb, postdate.Secret(text)) + fmt.Sprintf(verb, target) + fmt.Sprintf(verb, &target)
		require.NotContains(t, shown, "topsecret", verb)
		require.NotContains(t, shown, fmt.Sprintf("%x", "topsecret"), verb)
	}
	require.NotContains(t, logged.String(), "topsecret")
	require.Equal(t, text, postdate.Secret(text).Reveal())
	_, err := json.Marshal(target)
	require.Error(t, err)
}

func TestSecret_IsKeptWholeAndShownHidden(t *testing.T) {
	t.Parallel()
	before := postdate.Endpoint{
		ID: "ep_1", Headers: map[string]postdate.Secret{"x-token": `to"p\secret`}, Secrets: postdate.ExpiringSecrets{{Secret: "whsec_topsecret"}},
	}
	kept, err := json.Marshal(before)
	require.NoError(t, err)
	var after postdate.Endpoint
	require.NoError(t, json.Unmarshal(kept, &after))
	require.Equal(t, before, after)

	shown := postdate.HideSecrets(kept)
	require.True(t, json.Valid(shown), "%s", shown)
	require.NotContains(t, string(shown), "secret\"}]", "%s", shown)
	require.NotContains(t, string(shown), "topsecret")
	require.NotContains(t, string(shown), "to\\\"p")
	require.Contains(t, string(shown), `"id":"ep_1"`)

	var unmarked postdate.ExpiringSecret
	require.NoError(t, json.Unmarshal([]byte(`{"secret":"whsec_a"}`), &unmarked))
	require.Equal(t, "whsec_a", unmarked.Secret.Reveal())
}

func TestDatedSecrets_Rotate(t *testing.T) {
	t.Parallel()
	now := time.Date(2027, 1, 1, 9, 0, 0, 0, time.UTC)
	secrets := postdate.ExpiringSecrets{}.Rotate("one", now, time.Hour)
	require.Equal(t, []postdate.Secret{"one"}, secrets.At(now))

	secrets = secrets.Rotate("two", now, time.Hour)
	require.Equal(t, []postdate.Secret{"two", "one"}, secrets.At(now))
	require.Equal(t, []postdate.Secret{"two"}, secrets.At(now.Add(time.Hour)))

	// A leak: no overlap, also for what was still signing by an earlier one.
	secrets = secrets.Rotate("three", now.Add(time.Minute), 0)
	require.Equal(t, []postdate.Secret{"three"}, secrets.At(now.Add(time.Minute)))

	for n := range 20 {
		secrets = secrets.Rotate(postdate.Secret(fmt.Sprint("more", n)), now, time.Hour)
	}
	require.LessOrEqual(t, len(secrets), 5)

	// The same request once more.
	once := postdate.ExpiringSecrets{}.Rotate("one", now, 0).Rotate("two", now, time.Hour)
	require.Equal(t, once, once.Rotate("two", now.Add(time.Minute), time.Hour))
	require.Equal(t, []postdate.Secret{"one", "two"}, once.Rotate("one", now, time.Hour).At(now), "back to the one before")
}

func TestScope_IncludesThoseBeforeIt(t *testing.T) {
	t.Parallel()
	require.True(t, postdate.Admin.Includes(postdate.Read))
	require.True(t, postdate.Write.Includes(postdate.Write))
	require.False(t, postdate.Read.Includes(postdate.Write))
	require.False(t, postdate.Scope("").Includes(postdate.Read))
	require.False(t, postdate.Scope("root").Includes(postdate.Read))
}
