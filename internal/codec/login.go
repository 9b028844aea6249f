package codec

import (
	"cmp"
	"crypto/sha256"
	"crypto/subtle"
	_ "embed" // for the page
	"errors"
	"html/template"
	"log/slog"
	"net/http"
	"strings"
	"time"
)

const (
	// cookieName is the cookie by which payloads are read, and uiCookieName that by
	// which the Web UI changes anything in Temporal.
	cookieName   = "postdate_codec"
	uiCookieName = "postdate_ui"
	uiPath       = "/api" // of the Web UI's own requests
	// sessionLife is how long a browser that signed in may read: a working day.
	sessionLife = 12 * time.Hour
	// maxForm bounds the sign-in form, in bytes.
	maxForm = 8 << 10
	// wrongKeyDelay is how long the answer to a wrong key takes, and maxWrongKeys how
	// many may wait for theirs: more are refused at once.
	wrongKeyDelay = time.Second
	maxWrongKeys  = 10
)

//go:embed login.html
var loginHTML string

var loginPage = template.Must(template.New("login").Parse(loginHTML))

// LoginConfig is what a [Login] needs to know.
type LoginConfig struct {
	// Keys are the operator's keys, of which each opens: two while one is rotated. The
	// first signs the sessions.
	Keys []string
	// UIURL is the Web UI's address, where people go once signed in.
	UIURL string
	// Log takes a line for each wrong key, and each sign-in: slog's default where it is nil.
	Log *slog.Logger
}

// Login is a page, to be served at [LoginPath], where a person enters the
// operator's key once, so that the Web UI in the same browser can show payloads
// for twelve hours. The browser is given a token in a cookie that no script
// reads and that goes to [Path] alone, and only from pages of the same site: so
// API and Web UI must share a host name, or a registrable domain and scheme;
// ports do not matter.
type Login struct {
	keys     [][sha256.Size]byte
	sessions *sessions
	wrong    chan struct{}
	uiURL    string
	origin   string
	log      *slog.Logger
	guard    *http.CrossOriginProtection
	now      func() time.Time
}

// NewLogin answers an error where there is no key, or UIURL is none.
func NewLogin(c LoginConfig) (*Login, error) {
	if len(c.Keys) == 0 {
		return nil, errors.New("the codec endpoint's login needs the operator's key")
	}
	origin, err := originOf(c.UIURL)
	if err != nil {
		return nil, err
	}
	sessions, err := newSessions(c.Keys[0])
	if err != nil {
		return nil, err
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	l := &Login{
		sessions: sessions, wrong: make(chan struct{}, maxWrongKeys), uiURL: c.UIURL, origin: origin,
		log: c.Log, guard: http.NewCrossOriginProtection(), now: time.Now,
	}
	for _, key := range c.Keys {
		l.keys = append(l.keys, sha256.Sum256([]byte(key)))
	}
	return l, nil
}

// Authorized reports whether r carries the key, as "Authorization: Bearer <key>",
// or comes from a browser that signed in.
func (l *Login) Authorized(r *http.Request) bool {
	scheme, key, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if strings.EqualFold(scheme, "Bearer") && l.isKey(strings.TrimSpace(key)) {
		return true
	}
	_, ok := l.session(r)
	return ok
}

// isKey compares hashes, which takes as long whatever is alike.
func (l *Login) isKey(given string) bool {
	hash, equal := sha256.Sum256([]byte(given)), 0
	for _, key := range l.keys {
		equal |= subtle.ConstantTimeCompare(hash[:], key[:])
	}
	return equal == 1
}

// GuardUI lets everybody look at the Web UI, and only who signed in change anything in
// Temporal by it: cancel, terminate, signal, start.
func (l *Login) GuardUI(ui http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead && (l.guard.Check(r) != nil || !l.mayAct(r)) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusForbidden)
			_, _ = w.Write([]byte(`{"code":7,"message":"the Web UI is read-only for who has not signed in: sign in at ` + LoginPath + ` of the API"}`))
			return
		}
		ui.ServeHTTP(w, r)
	})
}

// mayAct reports whether a request comes from a browser that signed in.
func (l *Login) mayAct(r *http.Request) bool {
	for _, cookie := range r.CookiesNamed(uiCookieName) {
		if _, _, ok := l.sessions.open(cookie.Value, acting, l.now()); ok {
			return true
		}
	}
	return false
}

// session is when the browser's session ends, if it has one.
func (l *Login) session(r *http.Request) (time.Time, bool) {
	for _, cookie := range r.CookiesNamed(cookieName) {
		if _, expiry, ok := l.sessions.open(cookie.Value, reading, l.now()); ok {
			return expiry, true
		}
	}
	return time.Time{}, false
}

// ServeHTTP shows the page (GET), and signs in or out (POST).
func (l *Login) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	switch {
	case r.Method == http.MethodGet || r.Method == http.MethodHead:
		l.show(w, r, http.StatusOK, false)
	case r.Method != http.MethodPost:
		w.Header().Set("Allow", "GET, HEAD, POST")
		http.Error(w, "use GET or POST", http.StatusMethodNotAllowed)
	case l.guard.Check(r) != nil:
		http.Error(w, "sign in on the page itself", http.StatusForbidden)
	default:
		r.Body = http.MaxBytesReader(w, r.Body, maxForm)
		l.enter(w, r)
	}
}

// enter signs in who sent the key, and out who sent sign_out.
func (l *Login) enter(w http.ResponseWriter, r *http.Request) {
	if r.PostFormValue("sign_out") != "" {
		for _, cookie := range r.CookiesNamed(cookieName) {
			if session, expiry, ok := l.sessions.open(cookie.Value, reading, l.now()); ok {
				l.sessions.end(session, expiry, l.now())
			}
		}
		http.SetCookie(w, l.cookie(cookieName, Path, "", -1))
		http.SetCookie(w, l.cookie(uiCookieName, uiPath, "", -1))
		http.Redirect(w, r, LoginPath, http.StatusSeeOther)
		return
	}
	if !l.isKey(strings.TrimSpace(r.PostFormValue("key"))) {
		l.refuse(w, r)
		return
	}
	l.log.InfoContext(r.Context(), "signed in to read payloads", "remote", r.RemoteAddr)
	until, seconds := l.now().Add(sessionLife), int(sessionLife.Seconds())
	session := l.sessions.begin(until)
	http.SetCookie(w, l.cookie(cookieName, Path, l.sessions.token(session, reading), seconds))
	http.SetCookie(w, l.cookie(uiCookieName, uiPath, l.sessions.token(session, acting), seconds))
	http.Redirect(w, r, cmp.Or(l.uiURL, LoginPath), http.StatusSeeOther) //nolint:gosec // the operator's own address
}

// refuse answers a wrong key, after a while: so that guessing takes time.
func (l *Login) refuse(w http.ResponseWriter, r *http.Request) {
	select {
	case l.wrong <- struct{}{}:
		defer func() { <-l.wrong }()
	default:
		http.Error(w, "too many sign-ins with wrong keys: try again in a moment", http.StatusTooManyRequests)
		return
	}
	l.log.WarnContext(r.Context(), "failed to sign in to read payloads: not the operator's key", "remote", r.RemoteAddr)
	select {
	case <-time.After(wrongKeyDelay):
	case <-r.Context().Done():
	}
	l.show(w, r, http.StatusUnauthorized, true)
}

// cookie holds token for maxAge seconds; a negative maxAge deletes it. Browsers
// send it to a Web UI served by https only over https.
func (l *Login) cookie(name, path, token string, maxAge int) *http.Cookie {
	return &http.Cookie{ //nolint:gosec // Secure over plain http would keep it from being sent at all
		Name: name, Value: token, Path: path, MaxAge: maxAge,
		HttpOnly: true, SameSite: http.SameSiteStrictMode, Secure: strings.HasPrefix(l.origin, "https://"),
	}
}

func (l *Login) show(w http.ResponseWriter, r *http.Request, status int, wrong bool) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	// A redirect after the form counts as the form's action, so the Web UI is named.
	w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; "+
		"frame-ancestors 'none'; form-action 'self' "+l.origin)
	w.Header().Set("Referrer-Policy", "same-origin")
	w.WriteHeader(status)
	page := struct {
		Wrong, In    bool
		Until, UIURL string
	}{Wrong: wrong, UIURL: l.uiURL}
	if expiry, ok := l.session(r); ok {
		page.In, page.Until = true, expiry.UTC().Format("15:04 UTC on 2 January")
	}
	_ = loginPage.Execute(w, page) // fails only where nobody listens any more
}
