package client_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/client"
)

// answering is a server that answers every request like this, and the last
// request that it got.
func answering(t *testing.T, status int, contentType, body string) (*httptest.Server, *http.Request) {
	t.Helper()
	got := new(http.Request)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		*got = *r
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}))
	t.Cleanup(server.Close)
	return server, got
}

func TestNew_SendsTheKeyAndTheTenant(t *testing.T) {
	t.Parallel()
	server, got := answering(t, http.StatusOK, "application/json", `{"data":[],"has_more":false}`)
	api, err := client.New(server.URL, "the-key", client.WithTenant("acme"))
	require.NoError(t, err)
	page, err := api.ListSchedulesWithResponse(t.Context(), &client.ListSchedulesParams{State: new(postdate.Dead), Entity: new("a&b")})
	require.NoError(t, err)
	require.Empty(t, page.JSON200.Data)
	require.Equal(t, "Bearer the-key", got.Header.Get("Authorization"))
	require.Equal(t, "acme", got.Header.Get("Postdate-Tenant"))
	require.Equal(t, "entity=a%26b&state=dead", got.URL.Query().Encode())
}

func TestNew_ErrorsAreProblems(t *testing.T) {
	t.Parallel()
	server, _ := answering(t, http.StatusUnprocessableEntity, "application/problem+json",
		`{"type":"about:blank","title":"Unprocessable Entity","status":422,"code":"invalid","detail":"/delay: too long",
		"request_id":"r1","errors":[{"pointer":"/delay","detail":"too long"}]}`)
	api, err := client.New(server.URL, "key")
	require.NoError(t, err)
	_, err = api.GetScheduleWithResponse(t.Context(), "x")
	require.EqualError(t, err, "422 Unprocessable Entity: /delay: too long (request r1)")
	problem, ok := errors.AsType[*client.Problem](err)
	require.True(t, ok)
	require.Equal(t, postdate.Invalid, problem.Code)
	require.Equal(t, []client.FieldError{{Pointer: "/delay", Detail: "too long"}}, problem.Errors)
}

func TestNew_ErrorsOfWhatStandsBetween(t *testing.T) {
	t.Parallel()
	server, _ := answering(t, http.StatusBadGateway, "text/html", "<html>a proxy</html>")
	api, err := client.New(server.URL, "key")
	require.NoError(t, err)
	_, err = api.GetScheduleWithResponse(t.Context(), "x")
	require.EqualError(t, err, "502 Bad Gateway")
}

// counted is a doer of the caller's own.
type counted struct{ calls int }

func (c *counted) Do(r *http.Request) (*http.Response, error) {
	c.calls++
	return http.DefaultClient.Do(r)
}

func TestNew_ACallersOwnDoerStillAnswersProblems(t *testing.T) {
	t.Parallel()
	server, _ := answering(t, http.StatusNotFound, "application/problem+json", `{"status":404,"title":"Not Found","code":"not_found"}`)
	own := new(counted)
	api, err := client.New(server.URL, "key", client.WithHTTPClient(own))
	require.NoError(t, err)
	_, err = api.FireScheduleWithResponse(t.Context(), "x")
	require.EqualError(t, err, "404 Not Found")
	require.Equal(t, 1, own.calls)
}
