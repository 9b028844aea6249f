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
	cookieName = "postdate_codec"
	// sessionLife is how long a browser that signed in may read: a working day.
	sessionLife = 12 * time.Hour
	// maxForm bounds the sign-in form, in bytes.
	maxForm = 8 << 10
)

//go:embed login.html
var loginHTML string

var loginPage = template.Must(template.New("login").Parse(loginHTML))

// LoginConfig is what a [Login] needs to know.
type LoginConfig struct {
	// Key is the operator's key. It must not be empty.
	Key string
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
	key      [sha256.Size]byte
	sessions sessions
	uiURL    string
	origin   string
	log      *slog.Logger
	guard    *http.CrossOriginProtection
	now      func() time.Time
}

// NewLogin answers an error where there is no key, or UIURL is none.
func NewLogin(c LoginConfig) (*Login, error) {
	if c.Key == "" {
		return nil, errors.New("the codec endpoint's login needs the operator's key")
	}
	origin, err := originOf(c.UIURL)
	if err != nil {
		return nil, err
	}
	sessions, err := newSessions(c.Key)
	if err != nil {
		return nil, err
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	return &Login{
		key: sha256.Sum256([]byte(c.Key)), sessions: sessions, uiURL: c.UIURL, origin: origin,
		log: c.Log, guard: http.NewCrossOriginProtection(), now: time.Now,
	}, nil
}

// Authorized tells whether r carries the key, as "Authorization: Bearer <key>",
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
	hash := sha256.Sum256([]byte(given))
	return subtle.ConstantTimeCompare(hash[:], l.key[:]) == 1
}

// session is when the browser's session ends, if it has one.
func (l *Login) session(r *http.Request) (time.Time, bool) {
	for _, cookie := range r.CookiesNamed(cookieName) {
		if expiry, ok := l.sessions.expiry(cookie.Value, l.now()); ok {
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
		http.SetCookie(w, l.cookie("", -1))
		http.Redirect(w, r, LoginPath, http.StatusSeeOther)
		return
	}
	if !l.isKey(strings.TrimSpace(r.PostFormValue("key"))) {
		l.log.WarnContext(r.Context(), "codec: sign-in with a wrong key", "remote", r.RemoteAddr)
		l.show(w, r, http.StatusUnauthorized, true)
		return
	}
	l.log.InfoContext(r.Context(), "codec: signed in to read payloads", "remote", r.RemoteAddr)
	http.SetCookie(w, l.cookie(l.sessions.token(l.now().Add(sessionLife)), int(sessionLife.Seconds())))
	http.Redirect(w, r, cmp.Or(l.uiURL, LoginPath), http.StatusSeeOther)
}

// cookie holds token for maxAge seconds; a negative maxAge deletes it. Browsers
// send it to a Web UI served by https only over https.
func (l *Login) cookie(token string, maxAge int) *http.Cookie {
	return &http.Cookie{ //nolint:gosec // Secure over plain http would keep it from being sent at all
		Name: cookieName, Value: token, Path: Path, MaxAge: maxAge,
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
