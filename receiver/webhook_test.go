package receiver

import (
	"bufio"
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/guard"
	"github.com/postdate/postdate/senders/webhook"
	"github.com/postdate/postdate/signature"
)

var secret = signature.NewSecret()

const body = `{"type":"payment_request.due","timestamp":"2027-01-01T09:00:00Z","data":{"payment_request":"pr_123"}}`

// webhooks is a receiver of webhooks that counts the messages it handles.
func webhooks(t *testing.T, config Config, do func(ctx context.Context, m Message) error) (*Receiver, *bytes.Buffer) {
	t.Helper()
	if config.Secrets == nil {
		config.Secrets = []signature.Verifier{secret}
	}
	return inMemory(t, config, do)
}

func accept(context.Context, Message) error { return nil }

// signed is a request as an honest sender makes it.
func signed(id string, at time.Time, body string, signers ...signature.Signer) *http.Request {
	if signers == nil {
		signers = []signature.Signer{secret}
	}
	request := httptest.NewRequest(http.MethodPost, "/hooks", strings.NewReader(body))
	request.Header.Set(signature.HeaderID, id)
	request.Header.Set(signature.HeaderTimestamp, strconv.FormatInt(at.Unix(), 10))
	request.Header.Set(signature.HeaderSignature, signature.Sign(id, at, []byte(body), signers...))
	return request
}

func serve(h http.Handler, request *http.Request) *httptest.ResponseRecorder {
	recorder := httptest.NewRecorder()
	h.ServeHTTP(recorder, request)
	return recorder
}

func TestWebhook_GivesTheFunctionTheMessage(t *testing.T) {
	t.Parallel()
	var got []Message
	r, log := webhooks(t, Config{}, func(_ context.Context, m Message) error {
		got = append(got, m)
		return nil
	})
	now := time.Now()
	request := signed("evt_1", now, body)
	request.Header.Set("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
	answer := serve(r, request)
	require.Equal(t, http.StatusOK, answer.Code)
	require.Equal(t, "handled\n", answer.Body.String())
	answer = serve(r, signed("evt_1", now, body))
	require.Equal(t, http.StatusOK, answer.Code)
	require.Equal(t, "handled before, by an earlier copy\n", answer.Body.String())

	require.Len(t, got, 1)
	require.Equal(t, "evt_1", got[0].ID)
	require.Equal(t, "payment_request.due", got[0].Type)
	require.Equal(t, time.Date(2027, 1, 1, 9, 0, 0, 0, time.UTC), got[0].Timestamp)
	require.JSONEq(t, `{"payment_request":"pr_123"}`, string(got[0].Data))
	require.Equal(t, body, string(got[0].Body))
	require.Equal(t, now.Truncate(time.Second).UTC(), got[0].SentAt)
	require.NotEmpty(t, got[0].Header.Get("traceparent"))
	require.Empty(t, log.String())
}

// TestWebhook_IsUnderstoodByPostdate has Postdate's own sender send and read the
// answers.
func TestWebhook_IsUnderstoodByPostdate(t *testing.T) {
	t.Parallel()
	again := time.Now().Add(time.Hour).UTC().Truncate(time.Second)
	for name, c := range map[string]struct {
		returned error
		want     postdate.Attempt
	}{
		"nothing":    {nil, postdate.Attempt{Outcome: postdate.Accepted, Status: 200, Response: "handled\n"}},
		"an error":   {errors.New("password=hunter2"), postdate.Attempt{Outcome: postdate.Failed, Status: 500, Response: "not handled; the receiver's log says why\n"}},
		"RetryAfter": {RetryAfter(90*time.Second + 1), postdate.Attempt{Outcome: postdate.Failed, Status: 503, RetryAfter: postdate.Duration(91 * time.Second), Response: "not handled; the receiver's log says why\n"}},
		"Abort":      {fmt.Errorf("password=hunter2: %w", Abort("no such request")), postdate.Attempt{Outcome: postdate.Aborted, Status: 422, Response: "aborted: no such request\n"}},
		"Reschedule": {Reschedule(again), postdate.Attempt{Outcome: postdate.Rescheduled, Status: 200, RescheduleTo: again, Response: "handled; to be sent again\n"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for mode, dataIs := range map[postdate.Mode]string{
				postdate.Standard: `{"n": 1.10}`, postdate.CloudEventsStructured: `{"n": 1.10}`, postdate.CloudEventsBinary: `{"n": 1.10}`,
			} {
				r, _ := webhooks(t, Config{}, func(_ context.Context, m Message) error {
					if m.ID != "pr_123-expiry" || m.Type != "payment_request.due" || string(m.Data) != dataIs || m.Timestamp.Year() != 2027 {
						return Abort(fmt.Sprintf("not the message that was sent: %+v", m))
					}
					return c.returned
				})
				server := httptest.NewServer(r)
				t.Cleanup(server.Close)
				sender := webhook.New(webhook.Config{Guard: guard.New(guard.Config{Allow: loopback})})
				attempt, err := sender.Send(t.Context(), postdate.Message{
					ID: "pr_123-expiry", Tenant: "acme", Type: "payment_request.due", Data: []byte(`{"n": 1.10}`),
					Timestamp: time.Date(2027, 1, 1, 9, 0, 0, 0, time.UTC),
				}, postdate.Target{URL: server.URL, Mode: mode, Secrets: []postdate.Secret{postdate.Secret(secret.Reveal())}})
				require.NoError(t, err)
				require.Empty(t, attempt.Error)
				attempt.At, attempt.DurationMS = time.Time{}, 0
				require.Equal(t, c.want, attempt, mode)
			}
		})
	}
}

func TestWebhook_VerifiesEveryKindOfSignature(t *testing.T) {
	t.Parallel()
	next, key := signature.NewSecret(), signature.NewSigningKey()
	now := time.Now()
	for name, c := range map[string]struct {
		secrets []signature.Verifier
		signers []signature.Signer
		want    int
	}{
		"HMAC":                             {[]signature.Verifier{secret}, []signature.Signer{secret}, 200},
		"ed25519":                          {[]signature.Verifier{key.Public()}, []signature.Signer{key}, 200},
		"either":                           {[]signature.Verifier{secret, key.Public()}, []signature.Signer{key}, 200},
		"both secrets, the sender has one": {[]signature.Verifier{secret, next}, []signature.Signer{next}, 200},
		"one secret, the sender has both":  {[]signature.Verifier{next}, []signature.Signer{secret, next}, 200},
		"another secret":                   {[]signature.Verifier{secret}, []signature.Signer{next}, 401},
		"another kind":                     {[]signature.Verifier{secret}, []signature.Signer{key}, 401},
		"no secret":                        {[]signature.Verifier{}, []signature.Signer{secret}, 500},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, log := webhooks(t, Config{Secrets: c.secrets}, accept)
			answer := serve(r, signed("evt_1", now, body, c.signers...))
			require.Equal(t, c.want, answer.Code, answer.Body)
			require.Equal(t, c.want == 200, log.Len() == 0, log)
		})
	}
}

func TestWebhook_TakesTheHeadersOfSvix(t *testing.T) {
	t.Parallel()
	now := time.Now()
	for name, c := range map[string]struct {
		change func(http.Header)
		want   int
	}{
		"alone":                    {func(http.Header) {}, 200},
		"beside an id of others":   {func(h http.Header) { h.Set(signature.HeaderID, "another") }, 200},
		"beside a standard set":    {func(h http.Header) { maps.Copy(h, signed("evt_1", now, body).Header) }, 200},
		"beside a wrong set":       {func(h http.Header) { maps.Copy(h, signed("evt_1", now, "").Header) }, 401},
		"with its id left out":     {func(h http.Header) { h.Del(svixID); h.Set(signature.HeaderID, "evt_1") }, 400},
		"with its id given twice":  {func(h http.Header) { h.Add(svixID, "evt_2") }, 400},
		"with another id":          {func(h http.Header) { h.Set(svixID, "evt_2") }, 401},
		"without a signature":      {func(h http.Header) { h.Del(svixSignature) }, 400},
		"with an id of two halves": {func(h http.Header) { h.Set(svixID, "evt.1") }, 400},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			request := signed("evt_1", now, body)
			for standard, svix := range map[string]string{
				signature.HeaderID: svixID, signature.HeaderTimestamp: svixTimestamp, signature.HeaderSignature: svixSignature,
			} {
				request.Header.Set(svix, request.Header.Get(standard))
				request.Header.Del(standard)
			}
			c.change(request.Header)
			var id string
			r, _ := webhooks(t, Config{}, func(_ context.Context, m Message) error {
				id = m.ID
				return nil
			})
			require.Equal(t, c.want, serve(r, request).Code)
			if c.want == 200 {
				require.Equal(t, "evt_1", id)
			}
		})
	}
}

func TestWebhook_HoldsTimestampsToTheTolerance(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		tolerance, age time.Duration
		want           int
	}{
		{0, 4 * time.Minute, 200},
		{0, -4 * time.Minute, 200},
		{0, 6 * time.Minute, 401},
		{0, -6 * time.Minute, 401},
		{0, 24 * 365 * time.Hour, 401},
		{time.Hour, 50 * time.Minute, 200},
		{time.Second, 10 * time.Second, 401},
	} {
		r, _ := webhooks(t, Config{Tolerance: c.tolerance}, accept)
		require.Equal(t, c.want, serve(r, signed("evt_1", time.Now().Add(-c.age), body)).Code, c)
	}
}

func TestWebhook_RefusesWhatIsNoWebhook(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*http.Request)
		want   int
	}{
		"GET":                       {func(r *http.Request) { r.Method = http.MethodGet }, 405},
		"HEAD":                      {func(r *http.Request) { r.Method = http.MethodHead }, 405},
		"PUT":                       {func(r *http.Request) { r.Method = http.MethodPut }, 405},
		"a changed body":            {func(r *http.Request) { r.Body = io.NopCloser(strings.NewReader(body + " ")) }, 401},
		"a changed id":              {func(r *http.Request) { r.Header.Set(signature.HeaderID, "evt_2") }, 401},
		"no headers":                {func(r *http.Request) { r.Header = http.Header{} }, 400},
		"no signature":              {func(r *http.Request) { r.Header.Del(signature.HeaderSignature) }, 400},
		"an empty signature":        {func(r *http.Request) { r.Header.Set(signature.HeaderSignature, "") }, 400},
		"a timestamp in words":      {func(r *http.Request) { r.Header.Set(signature.HeaderTimestamp, "now") }, 400},
		"a body that breaks off":    {func(r *http.Request) { r.Body = io.NopCloser(iotestError{}) }, 400},
		"a body that was read":      {func(r *http.Request) { r.Body = http.NoBody }, 500},
		"a body larger than stated": {func(r *http.Request) { r.Body = io.NopCloser(strings.NewReader(strings.Repeat("x", 1<<20+1))) }, 413},
		"a length beyond the limit": {func(r *http.Request) { r.ContentLength = 1<<20 + 1 }, 413},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, log := webhooks(t, Config{}, func(context.Context, Message) error {
				t.Error("the function was called")
				return nil
			})
			request := signed("evt_1", time.Now(), body)
			c.change(request)
			answer := serve(r, request)
			require.Equal(t, c.want, answer.Code, answer.Body)
			require.Empty(t, answer.Header().Get(headerDelivery), "whoever sends rightly later must not be told to stop")
			require.Contains(t, log.String(), "webhook refused")
			require.Equal(t, c.want == 500, strings.Contains(log.String(), "level=ERROR"))
			require.Equal(t, c.want == 405, answer.Header().Get("Allow") == http.MethodPost)
		})
	}
}

type iotestError struct{}

func (iotestError) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// TestWebhook_ReadsNoMoreThanTheLimit goes over a connection, where a limit that
// cuts the sender off would lose the answer.
func TestWebhook_ReadsNoMoreThanTheLimit(t *testing.T) {
	t.Parallel()
	const limit = 64 << 10
	r, _ := webhooks(t, Config{MaxBody: limit}, accept)
	server := httptest.NewServer(r)
	defer server.Close()
	post := func(size int, chunked bool) int {
		sized := strings.Repeat("x", size)
		request := signed("evt_"+strconv.Itoa(size), time.Now(), sized)
		request.URL.Scheme, request.URL.Host, request.RequestURI = "http", server.Listener.Addr().String(), ""
		if chunked {
			request.ContentLength = -1
		}
		response, err := server.Client().Do(request.WithContext(t.Context()))
		require.NoError(t, err)
		defer response.Body.Close()
		return response.StatusCode
	}
	for _, chunked := range []bool{false, true} {
		require.Equal(t, http.StatusOK, post(limit, chunked), "the limit itself is allowed")
		require.Equal(t, http.StatusRequestEntityTooLarge, post(limit+1, chunked))
	}
}

// TestWebhook_ReadsHeadersInAnyCase writes the request as it goes over the wire.
func TestWebhook_ReadsHeadersInAnyCase(t *testing.T) {
	t.Parallel()
	r, _ := webhooks(t, Config{}, accept)
	server := httptest.NewServer(r)
	defer server.Close()
	now := time.Now()
	for i, names := range [][3]string{
		{"webhook-id", "webhook-timestamp", "webhook-signature"},
		{"WEBHOOK-ID", "WEBHOOK-TIMESTAMP", "WEBHOOK-SIGNATURE"},
		{"sViX-iD", "sViX-tImEsTaMp", "sViX-sIgNaTuRe"},
	} {
		connection, err := net.Dial("tcp", server.Listener.Addr().String())
		require.NoError(t, err)
		id := fmt.Sprint("evt_", i)
		fmt.Fprintf(connection, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n%s: %s\r\n%s: %d\r\n%s: %s\r\n\r\n%s",
			len(body), names[0], id, names[1], now.Unix(), names[2], signature.Sign(id, now, []byte(body), secret), body)
		response, err := http.ReadResponse(bufio.NewReader(connection), nil)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		require.Equal(t, http.StatusOK, response.StatusCode, names)
		require.NoError(t, connection.Close())
	}
}

// TestWebhook_FinishesWhenTheSenderHangsUp: the copy that follows is then answered
// at once, however long the work takes.
func TestWebhook_FinishesWhenTheSenderHangsUp(t *testing.T) {
	t.Parallel()
	d := openSQLite(t, "&_pragma=journal_mode(wal)")
	begun, gone, served := make(chan struct{}), make(chan struct{}), make(chan struct{})
	r := d.receiver(t, Config{Secrets: []signature.Verifier{secret}}, func(ctx context.Context, tx *sql.Tx, m Message) error {
		close(begun)
		<-gone
		return d.work(ctx, tx, m.ID)
	})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		context.AfterFunc(request.Context(), func() { close(gone) })
		r.ServeHTTP(w, request)
		close(served)
	}))
	defer server.Close()
	request := signed("evt_1", time.Now(), body)
	request.URL.Scheme, request.URL.Host, request.RequestURI = "http", server.Listener.Addr().String(), ""
	ctx, hangUp := context.WithCancel(t.Context())
	go func() {
		<-begun
		hangUp()
	}()
	_, err := server.Client().Do(request.WithContext(ctx)) //nolint:bodyclose // there is none
	require.ErrorIs(t, err, context.Canceled)
	<-served
	require.Equal(t, 1, d.effects(t))
	require.Equal(t, "handled before, by an earlier copy\n", serve(r, signed("evt_1", time.Now(), body)).Body.String())
}

// TestWebhook_AnswersACopyThatWaits: never with success before the work is done.
func TestWebhook_AnswersACopyThatWaits(t *testing.T) {
	t.Parallel()
	begun, finish := make(chan struct{}), make(chan struct{})
	store := InMemory(10)
	receive := func(wait time.Duration) *Receiver {
		r, err := New(Config{Secrets: []signature.Verifier{secret}, Wait: wait, Logger: slog.New(slog.DiscardHandler)}, store,
			func(context.Context, NoTx, Message) error {
				close(begun)
				<-finish
				return nil
			})
		require.NoError(t, err)
		return r
	}
	r := receive(20 * time.Millisecond)
	first := make(chan int)
	go func() { first <- serve(receive(time.Minute), signed("evt_1", time.Now(), body)).Code }()
	<-begun
	answer := serve(r, signed("evt_1", time.Now(), body))
	require.Equal(t, http.StatusServiceUnavailable, answer.Code)
	require.Equal(t, "1", answer.Header().Get("Retry-After"))
	close(finish)
	require.Equal(t, http.StatusOK, <-first)
	require.Equal(t, http.StatusOK, serve(receive(time.Minute), signed("evt_1", time.Now(), body)).Code)
}

func TestWebhook_RepeatsTheTimeOfARescheduledMessage(t *testing.T) {
	t.Parallel()
	now := time.Now().Truncate(time.Second)
	again := now.Add(2 * time.Minute)
	answers := []error{Reschedule(again), nil}
	call := 0
	r, _ := webhooks(t, Config{}, func(context.Context, Message) error {
		defer func() { call++ }()
		return answers[call]
	})
	for _, want := range []string{"handled; to be sent again\n", "handled before, by an earlier copy; to be sent again\n"} {
		answer := serve(r, signed("sch_1", now, body))
		require.Equal(t, http.StatusOK, answer.Code)
		require.Equal(t, again.UTC().Format(time.RFC3339), answer.Header().Get(headerReschedule))
		require.Equal(t, want, answer.Body.String())
	}
	answer := serve(r, signed("sch_1", again, body))
	require.Empty(t, answer.Header().Get(headerReschedule))
	require.Equal(t, "handled\n", answer.Body.String())
}

var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}
