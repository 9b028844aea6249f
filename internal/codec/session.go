package codec

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"
)

// purpose is what a session's token is for. Each token is good for its own alone.
type purpose string

const (
	reading purpose = "read payloads"
	acting  purpose = "act by the Web UI"
)

// sessions makes and recognises the tokens that stand for the operator's key in a
// browser: "<expiry, Unix seconds>.<random>.<HMAC-SHA256 of purpose and both, base64url>".
// Any process with the same key recognises them, and no token outlives its key. The key
// cannot be found from one. Sessions that were signed out are remembered by the process
// in which that happened, until they expire.
type sessions struct {
	mac []byte

	mu    sync.Mutex
	ended map[string]time.Time // expiries, by session
}

func newSessions(operatorKey string) (*sessions, error) {
	mac, err := hkdf.Key(sha256.New, []byte(operatorKey), nil, "postdate codec session 1", sha256.Size)
	if err != nil {
		return nil, fmt.Errorf("derive the sessions' key: %w", err)
	}
	return &sessions{mac: mac, ended: make(map[string]time.Time)}, nil
}

// begin is a session until expiry, to the second.
func (s *sessions) begin(expiry time.Time) string {
	return strconv.FormatInt(expiry.Unix(), 10) + "." + rand.Text()
}

// token is the session's token for a purpose.
func (s *sessions) token(session string, to purpose) string {
	return session + "." + base64.RawURLEncoding.EncodeToString(s.sign(session, to))
}

// open is the session of a token for a purpose, and when it ends: false where the token
// is not ours, or has ended at now.
func (s *sessions) open(token string, to purpose, now time.Time) (session string, expiry time.Time, ok bool) {
	at := strings.LastIndexByte(token, '.')
	if at < 0 {
		return "", time.Time{}, false
	}
	session = token[:at]
	given, err := base64.RawURLEncoding.DecodeString(token[at+1:])
	if err != nil || !hmac.Equal(given, s.sign(session, to)) {
		return "", time.Time{}, false
	}
	until, _, _ := strings.Cut(session, ".")
	seconds, err := strconv.ParseInt(until, 10, 64)
	if err != nil {
		return "", time.Time{}, false
	}
	s.mu.Lock()
	_, ended := s.ended[session]
	s.mu.Unlock()
	expiry = time.Unix(seconds, 0)
	return session, expiry, !ended && now.Before(expiry)
}

// end ends a session before its time, for all purposes.
func (s *sessions) end(session string, expiry, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for other, until := range s.ended {
		if now.After(until) {
			delete(s.ended, other)
		}
	}
	s.ended[session] = expiry
}

func (s *sessions) sign(session string, to purpose) []byte {
	mac := hmac.New(sha256.New, s.mac)
	mac.Write([]byte(string(to) + "\n" + session))
	return mac.Sum(nil)
}
