package codec

import (
	"bytes"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func newLoginOf(t *testing.T, change ...func(*LoginConfig)) (*Login, *bytes.Buffer) {
	t.Helper()
	var log bytes.Buffer
	c := LoginConfig{Keys: []string{operatorKey}, UIURL: uiURL, Log: slog.New(slog.NewTextHandler(&log, nil))}
	for _, each := range change {
		each(&c)
	}
	login, err := NewLogin(c)
	require.NoError(t, err)
	return login, &log
}

func submit(login http.Handler, form string, header http.Header) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, LoginPath, strings.NewReader(form))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Origin", "http://example.com") // where httptest says it is
	maps.Copy(r.Header, header)
	w := httptest.NewRecorder()
	login.ServeHTTP(w, r)
	return w
}

// cookieOf is the cookie that an answer sets, or nil.
func cookieOf(answer *httptest.ResponseRecorder) *http.Cookie {
	if cookie, err := http.ParseSetCookie(answer.Header().Get("Set-Cookie")); err == nil {
		return cookie
	}
	return nil
}

// signIn is a request of a browser that signed in.
func signIn(t *testing.T, login *Login) *http.Request {
	t.Helper()
	answer := submit(login, "key="+operatorKey, nil)
	require.Equal(t, http.StatusSeeOther, answer.Code)
	require.Equal(t, uiURL, answer.Header().Get("Location"))
	r := httptest.NewRequest(http.MethodPost, Path+"/decode", http.NoBody)
	r.AddCookie(cookieOf(answer))
	return r
}

// TestLogin_LetsTheSameBrowserReadPayloads is the whole way of a person: page,
// form, and what the Web UI then asks, over HTTP and with a browser's cookies.
func TestLogin_LetsTheSameBrowserReadPayloads(t *testing.T) {
	t.Parallel()
	ring := ringOf(t, "a")
	login, _ := newLoginOf(t)
	endpoint, err := NewHandler(HandlerConfig{Ring: ring, UIURL: uiURL, Authorize: login.Authorized})
	require.NoError(t, err)
	mux := http.NewServeMux()
	mux.Handle(LoginPath, login)
	mux.Handle(Path+"/", endpoint)
	var elsewhere string
	mux.HandleFunc("/v1/", func(_ http.ResponseWriter, r *http.Request) { elsewhere = r.Header.Get("Cookie") })
	api := httptest.NewServer(mux)
	defer api.Close()
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	browser := browser{t: t, Client: http.Client{
		Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	read := func() int {
		status, _ := browser.send(api.URL+Path+"/decode", uiURL, asJSON(t, encode(t, ring, payloadOf(t, planted))))
		return status
	}
	require.Equal(t, http.StatusUnauthorized, read())

	status, _ := browser.send(api.URL+LoginPath, api.URL, url.Values{"key": {" " + operatorKey + "\n"}}.Encode())
	require.Equal(t, http.StatusSeeOther, status)
	require.Equal(t, http.StatusOK, read())
	browser.send(api.URL+"/v1/schedules", "", "")
	require.Empty(t, elsewhere, "the cookie is for the codec endpoint alone")

	_, page := browser.send(api.URL+LoginPath, "", "")
	require.Contains(t, page, "may read payloads until")
	browser.send(api.URL+LoginPath, api.URL, "sign_out=1")
	require.Equal(t, http.StatusUnauthorized, read())
}

// browser keeps cookies, as browsers do.
type browser struct {
	http.Client
	t *testing.T
}

// send posts a form from a page of that origin, or opens a page where both are empty.
func (b *browser) send(to, origin, form string) (status int, page string) {
	b.t.Helper()
	method := http.MethodPost
	if form == "" {
		method = http.MethodGet
	}
	r, err := http.NewRequestWithContext(b.t.Context(), method, to, strings.NewReader(form))
	require.NoError(b.t, err)
	if origin != "" {
		r.Header.Set("Origin", origin)
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	answer, err := b.Do(r)
	require.NoError(b.t, err)
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	require.NoError(b.t, err)
	return answer.StatusCode, string(body)
}

func TestLogin_ShowsAPageThatRunsAndLoadsNothing(t *testing.T) {
	t.Parallel()
	login, _ := newLoginOf(t)
	w := httptest.NewRecorder()
	login.ServeHTTP(w, httptest.NewRequest(http.MethodGet, LoginPath, http.NoBody))
	require.Equal(t, http.StatusOK, w.Code)
	require.Equal(t, "no-store", w.Header().Get("Cache-Control"))
	policy := w.Header().Get("Content-Security-Policy")
	require.Contains(t, policy, "default-src 'none'")
	require.Contains(t, policy, "frame-ancestors 'none'")
	require.Contains(t, policy, "form-action 'self' "+uiURL)
	require.Contains(t, w.Body.String(), `type="password"`)
	require.NotContains(t, w.Body.String(), operatorKey)
}

func TestLogin_GivesACookieThatHoldsNoKey(t *testing.T) {
	t.Parallel()
	login, log := newLoginOf(t)
	cookie := cookieOf(submit(login, "key="+operatorKey, nil))
	require.True(t, cookie.HttpOnly)
	require.Equal(t, http.SameSiteStrictMode, cookie.SameSite)
	require.Equal(t, Path, cookie.Path)
	require.Empty(t, cookie.Domain)
	require.Equal(t, 12*60*60, cookie.MaxAge)
	require.False(t, cookie.Secure)
	require.NotContains(t, cookie.String(), operatorKey)
	require.Contains(t, log.String(), "signed in")
	require.NotContains(t, log.String(), operatorKey)

	over, _ := newLoginOf(t, func(c *LoginConfig) { c.UIURL = "https://ui.example" })
	require.True(t, cookieOf(submit(over, "key="+operatorKey, nil)).Secure)
}

func TestLogin_RefusesAWrongKey(t *testing.T) {
	t.Parallel()
	synctest.Test(t, refusesAWrongKey)
}

func refusesAWrongKey(t *testing.T) {
	t.Helper()
	login, log := newLoginOf(t)
	began := time.Now()
	for _, form := range []string{"", "key=", "key=hunter2", "key=" + operatorKey + "x", "key=" + strings.Repeat("x", maxForm)} {
		answer := submit(login, form, nil)
		require.Equal(t, http.StatusUnauthorized, answer.Code)
		require.Nil(t, cookieOf(answer))
		page := answer.Body.String()
		require.Contains(t, page, "This is not the key")
		require.NotContains(t, page, "hunter2")
	}
	require.Equal(t, 5*wrongKeyDelay, time.Since(began), "each takes a while")
	require.Equal(t, 5, strings.Count(log.String(), "not the operator's key"))
	require.NotContains(t, log.String(), "hunter2")
}

func TestLogin_RefusesFormsOfOtherPages(t *testing.T) {
	t.Parallel()
	login, _ := newLoginOf(t)
	for _, header := range []http.Header{
		{"Sec-Fetch-Site": {"cross-site"}},
		{"Sec-Fetch-Site": {"same-site"}},
		{"Origin": {"https://evil.example"}},
		{"Origin": {"null"}},
	} {
		answer := submit(login, "key="+operatorKey, header)
		require.Equal(t, http.StatusForbidden, answer.Code, "%v", header)
		require.Nil(t, cookieOf(answer))
	}
}

func TestLogin_RefusesOtherMethods(t *testing.T) {
	t.Parallel()
	login, _ := newLoginOf(t)
	w := httptest.NewRecorder()
	login.ServeHTTP(w, httptest.NewRequest(http.MethodDelete, LoginPath, http.NoBody))
	require.Equal(t, http.StatusMethodNotAllowed, w.Code)
}

func TestLogin_TakesTheKeyAsBearer(t *testing.T) {
	t.Parallel()
	login, _ := newLoginOf(t)
	for header, want := range map[string]bool{
		"Bearer " + operatorKey:        true,
		"bearer  " + operatorKey + " ": true,
		"Basic " + operatorKey:         false,
		operatorKey:                    false,
		"Bearer":                       false,
		"Bearer " + operatorKey[1:]:    false,
		"":                             false,
	} {
		r := httptest.NewRequest(http.MethodPost, Path+"/decode", http.NoBody)
		r.Header.Set("Authorization", header)
		require.Equal(t, want, login.Authorized(r), header)
	}
}

func TestLogin_EndsSessionsByTime(t *testing.T) {
	t.Parallel()
	login, _ := newLoginOf(t)
	now := time.Now()
	login.now = func() time.Time { return now }
	r := signIn(t, login)
	require.True(t, login.Authorized(r))
	now = now.Add(sessionLife - time.Second)
	require.True(t, login.Authorized(r))
	now = now.Add(time.Second)
	require.False(t, login.Authorized(r))
}

func TestLogin_KnowsSessionsOfItsKeyAlone(t *testing.T) {
	t.Parallel()
	login, _ := newLoginOf(t)
	again, _ := newLoginOf(t)
	other, _ := newLoginOf(t, func(c *LoginConfig) { c.Keys = []string{"pd_another-key-of-the-operator"} })
	r := signIn(t, login)
	require.True(t, again.Authorized(r), "the same key in another process")
	require.False(t, other.Authorized(r))
}

func TestLogin_RefusesTokensItDidNotMake(t *testing.T) {
	t.Parallel()
	login, _ := newLoginOf(t)
	made := login.sessions.token(login.sessions.begin(time.Now().Add(time.Hour)), reading)
	until, signature, _ := strings.Cut(made, ".")
	for _, token := range []string{
		"", ".", until, until + ".", "." + signature, "9" + until + "." + signature,
		until + "0." + signature, "-" + until + "." + signature, made + "AA", made[:len(made)-2], until + "." + strings.ToUpper(signature),
	} {
		r := httptest.NewRequest(http.MethodPost, Path+"/decode", http.NoBody)
		r.Header.Set("Cookie", cookieName+"="+token)
		require.False(t, login.Authorized(r), token)
	}
}

func TestLogin_LooksPastAForeignCookieOfItsName(t *testing.T) {
	t.Parallel()
	login, _ := newLoginOf(t)
	r := signIn(t, login)
	r.Header.Set("Cookie", cookieName+"=stale; "+r.Header.Get("Cookie"))
	require.True(t, login.Authorized(r))
}

func TestLogin_StaysWhereItIsWithoutAWebUI(t *testing.T) {
	t.Parallel()
	login, _ := newLoginOf(t, func(c *LoginConfig) { c.UIURL = "" })
	require.Equal(t, LoginPath, submit(login, "key="+operatorKey, nil).Header().Get("Location"))
}

func TestNewLogin_WantsAKey(t *testing.T) {
	t.Parallel()
	_, err := NewLogin(LoginConfig{UIURL: uiURL})
	require.Error(t, err)
	_, err = NewLogin(LoginConfig{Keys: []string{operatorKey}, UIURL: "nowhere"})
	require.Error(t, err)
}

func TestLogin_SignOutEndsTheSessionItself(t *testing.T) {
	t.Parallel()
	login, _ := newLoginOf(t)
	r := signIn(t, login)
	kept := r.Header.Get("Cookie")
	require.True(t, login.Authorized(r))
	answer := submit(login, "sign_out=1", http.Header{"Cookie": {kept}})
	require.Equal(t, http.StatusSeeOther, answer.Code)
	require.False(t, login.Authorized(r), "whoever copied the cookie is signed out too")
}

func TestLogin_TheWebUIIsReadOnlyForStrangers(t *testing.T) {
	t.Parallel()
	login, _ := newLoginOf(t)
	ui := login.GuardUI(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))
	ask := func(method string, cookies ...*http.Cookie) int {
		r := httptest.NewRequest(method, "/api/v1/namespaces/default/workflows/x/terminate", http.NoBody)
		for _, cookie := range cookies {
			r.AddCookie(cookie)
		}
		w := httptest.NewRecorder()
		ui.ServeHTTP(w, r)
		return w.Code
	}
	require.Equal(t, http.StatusNoContent, ask(http.MethodGet))
	require.Equal(t, http.StatusForbidden, ask(http.MethodPost))

	answer := submit(login, "key="+operatorKey, nil)
	cookies := answer.Result().Cookies()
	require.Len(t, cookies, 2)
	require.Equal(t, http.StatusNoContent, ask(http.MethodPost, cookies...))
	reading := *cookies[0]
	reading.Name = uiCookieName
	require.Equal(t, http.StatusForbidden, ask(http.MethodPost, &reading), "a token to read payloads is none to act by")
	submit(login, "sign_out=1", http.Header{"Cookie": {cookies[0].String()}})
	require.Equal(t, http.StatusForbidden, ask(http.MethodPost, cookies...))
}
