package apiserver_test

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/postdate/postdate"
)

// scripts plays the receivers: each host has its own.
type scripts struct{ byHost sync.Map }

type script func(context.Context, postdate.Message) (postdate.Attempt, error)

func (s *scripts) Send(ctx context.Context, m postdate.Message, to postdate.Target) (postdate.Attempt, error) {
	u, err := url.Parse(to.URL)
	if err != nil {
		return postdate.Attempt{}, err
	}
	play, ok := s.byHost.Load(u.Host)
	if !ok {
		return postdate.Attempt{}, errors.New("no such receiver")
	}
	began := time.Now()
	made, err := play.(script)(ctx, m)
	made.At, made.DurationMS = began, time.Since(began).Milliseconds()
	return made, err
}

// receiver is a URL at which play is played.
func receiver(play script) string {
	host := uuid.NewString() + ".example"
	senders.byHost.Store(host, play)
	return "https://" + host + "/hooks"
}

// answering is a receiver that answers with these statuses, one after another,
// and with the last of them for ever.
func answering(statuses ...int) string {
	var mu sync.Mutex
	return receiver(func(context.Context, postdate.Message) (postdate.Attempt, error) {
		mu.Lock()
		defer mu.Unlock()
		status := statuses[0]
		if len(statuses) > 1 {
			statuses = statuses[1:]
		}
		return attempt(status), nil
	})
}

func attempt(status int) postdate.Attempt {
	outcome := postdate.Failed
	switch {
	case status < 300:
		outcome = postdate.Accepted
	case status == http.StatusGone:
		outcome = postdate.Gone
	}
	return postdate.Attempt{Outcome: outcome, Status: status, Response: "answered " + http.StatusText(status)}
}
