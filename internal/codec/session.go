package codec

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// sessions makes and recognises the tokens that stand for the operator's key in
// a browser: "<expiry, Unix seconds>.<HMAC-SHA256 of it, base64url>". Nothing is
// kept of them, so any process with the same key recognises them, and no token
// outlives its key. The key cannot be found from one.
type sessions struct{ mac []byte }

func newSessions(operatorKey string) (sessions, error) {
	mac, err := hkdf.Key(sha256.New, []byte(operatorKey), nil, "postdate codec session 1", sha256.Size)
	if err != nil {
		return sessions{}, fmt.Errorf("derive the sessions' key: %w", err)
	}
	return sessions{mac: mac}, nil
}

// token is valid until expiry, to the second.
func (s sessions) token(expiry time.Time) string {
	until := strconv.FormatInt(expiry.Unix(), 10)
	return until + "." + base64.RawURLEncoding.EncodeToString(s.sign(until))
}

// expiry is when a token that we made ends, or false where we did not make it,
// or it has ended at now.
func (s sessions) expiry(token string, now time.Time) (time.Time, bool) {
	until, signature, _ := strings.Cut(token, ".")
	given, err := base64.RawURLEncoding.DecodeString(signature)
	if err != nil || !hmac.Equal(given, s.sign(until)) {
		return time.Time{}, false
	}
	seconds, err := strconv.ParseInt(until, 10, 64)
	if err != nil {
		return time.Time{}, false
	}
	expiry := time.Unix(seconds, 0)
	return expiry, now.Before(expiry)
}

func (s sessions) sign(text string) []byte {
	mac := hmac.New(sha256.New, s.mac)
	mac.Write([]byte(text))
	return mac.Sum(nil)
}
