package main

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestCheckHost_AnswersToItsOwnNamesAlone(t *testing.T) {
	t.Parallel()
	const served, refused = http.StatusNoContent, http.StatusMisdirectedRequest
	for _, test := range []struct {
		addr    string
		allowed []string
		host    string
		status  int
	}{
		{"127.0.0.1:8080", nil, "127.0.0.1:8080", served},
		{"127.0.0.1:8080", nil, "localhost", served},
		{"127.0.0.1:8080", nil, "LOCALHOST.:8080", served},
		{"127.0.0.1:8080", nil, "[::1]:8080", served},
		{"127.0.0.1:8080", nil, "rebound.example:8080", refused},
		{"127.0.0.1:8080", nil, "127.0.0.1.rebound.example", refused},
		{"127.0.0.1:8080", nil, "", refused},
		{"127.0.0.1:8080", []string{"postdate.example"}, "postdate.example", served},
		{"127.0.0.1:8080", []string{"postdate.example"}, "other.example", refused},
		{":8080", nil, "anything.example", served},
		{":8080", []string{"postdate.example"}, "anything.example", refused},
		{":8080", []string{"postdate.example"}, "Postdate.Example:8080", served},
	} {
		handler := checkHost(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(served) }), test.addr, test.allowed)
		r := httptest.NewRequest(http.MethodGet, "/", http.NoBody)
		r.Host = test.host
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		require.Equal(t, test.status, w.Code, "%+v", test)
	}
}
