package apiserver

import (
	"context"
	"crypto/subtle"
	"errors"
	"regexp"
	"time"

	"github.com/postdate/postdate"
)

// A source's token names its tenant, so that its hash is looked up in one place, and ends
// with a checksum, so that a text that is not a token is not looked up:
// pdi_{tenant}_{random}{checksum}.
var tokenPattern = regexp.MustCompile(`^pdi_([A-Za-z0-9_-]{1,64})_[A-Z2-7]{33}$`)

// newSourceToken makes the text of a token, and what is kept of it.
func newSourceToken(tenant string) (text string, token postdate.SourceToken) {
	text, prefix := newCredential("pdi_" + tenant + "_")
	return text, postdate.SourceToken{Prefix: prefix, Hash: hashOf(text)}
}

// errUnknownSource is the same whatever is wrong with a token.
var errUnknownSource = postdate.Errorf(postdate.NotFound, "", "there is nothing at this path: see /docs")

// sourceOfToken is the source that a token names, and whose it is. from is the address that
// it came from.
func (s *server) sourceOfToken(ctx context.Context, from, text string) (tenant string, source postdate.Source, err error) {
	began := time.Now()
	tenant, source, err = s.findSource(ctx, from, text)
	if errors.Is(err, errUnknownSource) {
		delayRefusal(ctx, began)
	}
	return tenant, source, err
}

func (s *server) findSource(ctx context.Context, from, text string) (string, postdate.Source, error) {
	parts := tokenPattern.FindStringSubmatch(text)
	if parts == nil || !hasChecksum(text) {
		return "", postdate.Source{}, errUnknownSource
	}
	name, hashed, now := parts[1], hash(text), s.Now()
	// What is looked up in vain costs the engine something only where the tenant was not used
	// lately: so long nobody's guesses hold up a sender at the same address.
	if !s.Tenants.Knows(name) && !s.tokenGuesses.allow(from, hashed, now) {
		return "", postdate.Source{}, postdate.Errorf(postdate.TooManyRequests, "", "too many wrong tokens from this address: try again in a moment")
	}
	tenant, err := s.Tenants.Tenant(ctx, name)
	if err != nil {
		return "", postdate.Source{}, err
	}
	given := []byte(hashOf(text))
	for _, source := range tenant.Sources {
		for _, token := range source.Tokens {
			if subtle.ConstantTimeCompare(given, []byte(token.Hash)) == 1 && token.Valid(now) {
				s.tokenGuesses.right(hashed, now)
				return name, source, nil
			}
		}
	}
	s.tokenGuesses.wrong(from, now)
	return "", postdate.Source{}, errUnknownSource
}
