package inbound_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/inbound"
)

func TestEntityOf_IsWhatIsFoundOrTheValue(t *testing.T) {
	t.Parallel()
	r := request(`{"shop":"a","none":null,"long":"`+strings.Repeat("x", 129)+`"}`, "X-Shop", "b", "X-Bidi", "\u202ea")
	r.RawQuery = "shop=c"
	for name, test := range map[string]struct {
		rule postdate.EntityRule
		want string
	}{
		"pointer":         {postdate.EntityRule{Locator: postdate.Locator{Pointer: "/shop"}}, "a"},
		"header":          {postdate.EntityRule{Prefix: "shop ", Locator: postdate.Locator{Header: "x-shop"}}, "shop b"},
		"query":           {postdate.EntityRule{Locator: postdate.Locator{Query: "shop"}, Value: "v"}, "c"},
		"value":           {postdate.EntityRule{Value: "v"}, "v"},
		"prefix, value":   {postdate.EntityRule{Prefix: "p ", Value: "v"}, "p v"},
		"nothing there":   {postdate.EntityRule{Prefix: "p ", Locator: postdate.Locator{Pointer: "/none"}}, ""},
		"value in place":  {postdate.EntityRule{Locator: postdate.Locator{Header: "x-none"}, Value: "v"}, "v"},
		"too long":        {postdate.EntityRule{Locator: postdate.Locator{Pointer: "/long"}}, ""},
		"turned around":   {postdate.EntityRule{Locator: postdate.Locator{Header: "x-bidi"}, Value: "v"}, "v"},
		"no rule's value": {postdate.EntityRule{}, ""},
	} {
		require.Equal(t, test.want, inbound.EntityOf(source("none", func(s *postdate.Source) { s.Entity = &test.rule }), r), name)
	}
	require.Empty(t, inbound.EntityOf(source("none"), r))
	require.Contains(t, inbound.Unsigned(source("github", func(s *postdate.Source) {
		s.Entity = &postdate.EntityRule{Locator: postdate.Locator{Header: "x-shop"}}
	})), "entity: the header x-shop is not covered by the signature")
}

func source(preset string, changes ...func(*postdate.Source)) postdate.Source {
	s := postdate.Source{ID: "src_1", Name: "x", Verify: postdate.Verification{Preset: preset, Secrets: []postdate.Secret{secret}}}
	for _, change := range changes {
		change(&s)
	}
	return s
}

func by(locators ...postdate.Locator) func(*postdate.Source) {
	return func(s *postdate.Source) { s.Deduplicate = append([]postdate.Locator{}, locators...) }
}

func TestID_IsTheSameOfCopiesAlone(t *testing.T) {
	t.Parallel()
	const body = `{"event_id":"e1","id":7,"nested":{"a/b":["x",{"~":true}]},"id":8}`
	r := request(body, "X-Id", "h1", "webhook-id", "w1", "X-GitHub-Delivery", "g1")
	r.RawQuery = "q=1&q=2"
	ids := map[string]string{}
	for name, s := range map[string]postdate.Source{
		"header": source("none", by(postdate.Locator{Header: "x-id"})),
		"another source": func() postdate.Source {
			s := source("none", by(postdate.Locator{Header: "x-id"}))
			s.ID = "src_2"
			return s
		}(),
		"pointer":       source("none", by(postdate.Locator{Pointer: "/event_id"})),
		"a number":      source("none", by(postdate.Locator{Pointer: "/id"})),
		"deep":          source("none", by(postdate.Locator{Pointer: "/nested/a~1b/1/~0"})),
		"query":         source("none", by(postdate.Locator{Query: "q"})),
		"body":          source("none", by(postdate.Locator{Body: true})),
		"two of them":   source("none", by(postdate.Locator{Header: "x-id"}, postdate.Locator{Pointer: "/event_id"})),
		"the other way": source("none", by(postdate.Locator{Pointer: "/event_id"}, postdate.Locator{Header: "x-id"})),
		"by preset":     source("github"),
		"webhook-id":    source("standard_webhooks"),
		"slack":         source("slack", func(s *postdate.Source) { s.ID = "src_3" }),
	} {
		id := inbound.ID(s, r)
		require.NoError(t, postdate.ValidateID("/id", id), name)
		require.Equal(t, id, inbound.ID(s, r), name)
		require.Empty(t, ids[id], "%s is the same as %s", name, ids[id])
		ids[id] = name
	}
	marked := request("\xef\xbb\xbf" + body)
	byEvent := source("none", by(postdate.Locator{Pointer: "/event_id"}))
	require.Equal(t, inbound.ID(byEvent, r), inbound.ID(byEvent, marked), "after a byte order mark")
	for name, s := range map[string]postdate.Source{
		"nothing by preset":      source("none"),
		"nothing at all":         source("github", by()),
		"a header that is none":  source("none", by(postdate.Locator{Header: "x-none"})),
		"one that is incomplete": source("none", by(postdate.Locator{Header: "x-id"}, postdate.Locator{Query: "none"})),
		"an object":              source("none", by(postdate.Locator{Pointer: "/nested"})),
		"an item beyond the end": source("none", by(postdate.Locator{Pointer: "/nested/a~1b/2"})),
		"a member of a text":     source("none", by(postdate.Locator{Pointer: "/event_id/x"})),
	} {
		require.Empty(t, inbound.ID(s, r), name)
	}
	for _, broken := range []string{"", "{", `{"event_id"`, "\xff", `[1]`, `{"event_id":"a`, strings.Repeat("[", 100_000)} {
		require.Empty(t, inbound.ID(source("none", by(postdate.Locator{Pointer: "/event_id"})), request(broken)), broken[:min(9, len(broken))])
	}
	svix := request("{}", "svix-id", "w1")
	require.NotEmpty(t, inbound.ID(source("standard_webhooks"), svix))
}

func TestType_OfPresetHeaderAndPointer(t *testing.T) {
	t.Parallel()
	typed := func(rule postdate.TypeRule) func(*postdate.Source) {
		return func(s *postdate.Source) { s.Type = &rule }
	}
	r := request(`{"type":"charge.succeeded","event":{"type":"message"},"object":"page","kind":"a*b"}`, "X-GitHub-Event", "push", "X-Kind", "made")
	r.RawQuery = "kind=q"
	for want, s := range map[string]postdate.Source{
		"github.push":             source("github"),
		"stripe.charge.succeeded": source("stripe"),
		"charge.succeeded":        source("standard_webhooks"),
		"slack.message":           source("slack"),
		"meta.page":               source("meta"),
		"shopify.received":        source("shopify"),
		"webhook.received":        source("none"),
		"made":                    source("none", typed(postdate.TypeRule{Locator: postdate.Locator{Header: "x-kind"}})),
		"a.q":                     source("none", typed(postdate.TypeRule{Prefix: "a.", Locator: postdate.Locator{Query: "kind"}})),
		"ledger.received":         source("none", typed(postdate.TypeRule{Prefix: "ledger.", Locator: postdate.Locator{Pointer: "/kind"}})),
		"ledger.other":            source("none", typed(postdate.TypeRule{Prefix: "ledger.", Value: "other", Locator: postdate.Locator{Pointer: "/none"}})),
		"fixed":                   source("none", typed(postdate.TypeRule{Value: "fixed"})),
	} {
		require.Equal(t, want, inbound.TypeOf(s, r))
	}
}

func TestUnsigned_SaysWhatASignatureDoesNotCover(t *testing.T) {
	t.Parallel()
	require.Equal(t, []string{
		"deduplicate: the header X-GitHub-Delivery is not covered by the signature", "type: the header X-GitHub-Event is not covered by the signature",
	}, inbound.Unsigned(source("github")))
	require.Empty(t, inbound.Unsigned(source("stripe")))
	require.Empty(t, inbound.Unsigned(source("standard_webhooks")))
	require.Empty(t, inbound.Unsigned(source("none", by(postdate.Locator{Header: "x"}))))
	require.Len(t, inbound.Unsigned(source("stripe", by(postdate.Locator{Query: "x"}))), 1)
	require.Empty(t, inbound.Unsigned(source("twilio", by(postdate.Locator{Query: "x"}))))
}

func TestOf_PassesOnWhatMayBe(t *testing.T) {
	t.Parallel()
	r := request("", "Connection", "close, X-Hop", "X-Hop", "1", "Te", "trailers", "Authorization", "Bearer x", "Cookie", "a=b",
		"X-Forwarded-For", "1.2.3.4", "Forwarded", "for=x", "Postdate-Source", "forged", "X_forwarded_host", "x", "traceparent", "00",
		"Accept-Encoding", "gzip", "Content-Encoding", "gzip", "Content-Type", "text/plain", "Proxy-Authorization", "x", "Expect", "100-continue",
		"X-Sig", "s", "X-Two", "1", "X-Two", "2", "User-Agent", "hooks", "X-Latin", "\xe9", "Webhook-Id", "w")
	names := func(s postdate.Source) (all []string) {
		in, err := inbound.Of(s, r)
		require.NoError(t, err)
		require.Equal(t, "text/plain", in.ContentType)
		for _, header := range in.Headers {
			all = append(all, header.Name)
		}
		return all
	}
	require.Equal(t, []string{"User-Agent", "Webhook-Id", "X-Sig", "X-Two", "X-Two"}, names(source("none")))
	require.Equal(t, []string{"User-Agent", "X-Sig"}, names(source("none", func(s *postdate.Source) {
		s.Headers = []string{"x-s*", "user-agent", "authorization", "cookie"}
	})))
	require.Empty(t, names(source("none", func(s *postdate.Source) { s.Headers = []string{} })))
	r.Header.Set("X-Long", strings.Repeat("x", 16<<10))
	_, err := inbound.Of(source("none"), r)
	require.Equal(t, postdate.Invalid, postdate.CodeOf(err))
}

func FuzzRequest(f *testing.F) {
	f.Add(`{"a":{"b":[1,2]}}`, "/a/b/1", "x=1")
	f.Fuzz(func(_ *testing.T, body, pointer, query string) {
		r := request(body, "Content-Type", "application/x-www-form-urlencoded")
		r.RawQuery = query
		s := source("none", by(postdate.Locator{Pointer: "/" + pointer}, postdate.Locator{Query: "x"}))
		inbound.ID(s, r)
		inbound.TypeOf(source("slack"), r)
		for _, preset := range inbound.Presets() {
			s := source(preset)
			for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodOptions} {
				r.Method = method
				_, _ = inbound.Handshake(s, r, now)
			}
			_ = inbound.Verify(s.Verify, r, now)
		}
	})
}
