package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/client"
	"github.com/postdate/postdate/internal/guard"
	"github.com/postdate/postdate/senders/webhook"
	"github.com/postdate/postdate/signature"
)

// puller is one run of pull.
type puller struct {
	url, data, tenant, endpoint string
	exec, to, secret            string
	parallel                    int
	lease                       time.Duration

	handle func(context.Context, client.Pulled) verdict
	mu     sync.Mutex // of the next two
	out    io.Writer
	errs   io.Writer
}

// verdict is what became of a message.
type verdict struct {
	done       bool
	retryAfter time.Duration
	reason     string
}

const pullHelp = `Pull takes the messages of an endpoint that was made with "pull": true, and
acknowledges each once it is handled. It needs no port that others can reach.

  without more   prints each message, a line of JSON, and acknowledges it
  --exec CMD     runs a command for each, by sh, with the message as JSON on its
                 standard input: exit status 0 acknowledges it, and any other
                 returns it, to come again as the endpoint's retry policy says
  --to URL       posts each to a URL of this machine or any other, signed with
                 --secret as a webhook would be: 2xx acknowledges it, and anything
                 else returns it, not before its Retry-After

While a message is handled its lease is extended. If pull is killed, what it had
comes again after the lease. Any number of them may run at once.

The key is POSTDATE_KEY, or POSTDATE_ADMIN_KEY, or the one that "postdate dev"
keeps under --data: one of scope "pull" for this endpoint will do. The address is
--url, or POSTDATE_API_URL.`

func newPull(environ []string) *cobra.Command {
	p := new(puller)
	cmd := &cobra.Command{
		Use:   "pull --endpoint ID",
		Short: "Take the messages of an endpoint that is pulled from",
		Long:  pullHelp,
		Example: `  postdate pull --endpoint ep_9f2c
  postdate pull --endpoint ep_9f2c --exec 'jq -r .data.payment_request | ./expire.sh' --parallel 4
  postdate pull --endpoint ep_9f2c --to http://127.0.0.1:3000/hooks --secret whsec_…`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			p.out, p.errs = cmd.OutOrStdout(), cmd.ErrOrStderr()
			return p.run(cmd.Context(), environ)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&p.endpoint, "endpoint", "", "the endpoint's id")
	flags.StringVar(&p.exec, "exec", "", "a command to run for each message")
	flags.StringVar(&p.to, "to", "", "a URL to post each message to")
	flags.StringVar(&p.secret, "secret", "", "what to sign with, for --to: the endpoint's secret, as it was shown when it was made")
	flags.IntVar(&p.parallel, "parallel", 1, "how many messages to handle at once: 1 keeps their order")
	flags.DurationVar(&p.lease, "lease", time.Minute, "after how long they come again if this process dies")
	flags.StringVar(&p.url, "url", "", "where the API is (default $POSTDATE_API_URL or http://127.0.0.1:8080)")
	flags.StringVar(&p.tenant, "tenant", "", "for which tenant, with the operator's key")
	flags.StringVar(&p.data, "data", defaultData, `the data folder of "postdate dev"`)
	_ = cmd.MarkFlagRequired("endpoint") // it is defined above
	return cmd
}

func (p *puller) run(ctx context.Context, environ []string) error {
	switch {
	case p.exec != "" && p.to != "":
		return errors.New("--exec and --to exclude each other")
	case p.secret != "" && p.to == "":
		return errors.New("--secret signs what is posted: it needs --to")
	case p.parallel < 1 || p.parallel > postdate.MaxPull:
		return fmt.Errorf("--parallel %d: from 1 to %d", p.parallel, postdate.MaxPull)
	case p.lease < 2*postdate.MinLease || p.lease > postdate.MaxLease:
		return fmt.Errorf("--lease %s: from %s to %s", p.lease, 2*postdate.MinLease, postdate.MaxLease)
	}
	if err := p.chooseHandler(); err != nil {
		return err
	}
	api, err := p.connect(environ)
	if err != nil {
		return err
	}
	slots := make(chan struct{}, p.parallel)
	var handling sync.WaitGroup
	defer handling.Wait()
	options := client.PullOptions{Max: p.parallel, Lease: p.lease}
	if p.exec == "" && p.to == "" {
		options.Max = postdate.DefaultPull // to print one takes no time
	}
	for m, err := range api.Messages(ctx, p.endpoint, options) {
		switch {
		case client.Permanent(err):
			return fmt.Errorf("pull: %w", err)
		case err != nil:
			p.complain(fmt.Errorf("pull: %w: again in a moment", err))
			continue
		case ctx.Err() != nil:
			_ = m.Nack(context.WithoutCancel(ctx), 0, "the consumer stopped") // else its lease ends
			return nil
		}
		slots <- struct{}{}
		handling.Go(func() {
			p.take(ctx, m)
			<-slots
		})
	}
	return nil
}

// connect finds the API and the key.
func (p *puller) connect(environ []string) (*client.ClientWithResponses, error) {
	c, err := loadConfig(environ)
	if err != nil {
		return nil, err
	}
	key := cmp.Or(c.Key, c.adminKeys()[0])
	if key == "" {
		if key, err = readKept(filepath.Join(p.data, adminKeyFile)); err != nil {
			return nil, errors.New(`no key: set POSTDATE_KEY, or start "postdate dev" first in this folder`)
		}
	}
	var options []client.ClientOption
	if p.tenant != "" {
		options = append(options, client.WithTenant(p.tenant))
	}
	return client.New(strings.TrimRight(cmp.Or(p.url, c.APIURL), "/"), key, options...)
}

// chooseHandler chooses what is done with each message.
func (p *puller) chooseHandler() error {
	switch {
	case p.exec != "":
		p.handle = p.runCommand
	case p.to != "":
		if _, err := signature.ParseSigner(p.secret); err != nil {
			return fmt.Errorf("--secret: the endpoint's secret is needed to sign with: %w", err)
		}
		// It is the user's own machine that dials, where the user says.
		anywhere := guard.New(guard.Config{Allow: []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")}})
		sender := webhook.New(webhook.Config{Guard: anywhere, UserAgent: "Postdate/" + version})
		p.handle = func(ctx context.Context, m client.Pulled) verdict { return p.post(ctx, sender, m) }
	default:
		p.handle = p.print
	}
	return nil
}

// take handles a message, and settles it. A stop waits for both.
func (p *puller) take(ctx context.Context, m client.Pulled) {
	settling := context.WithoutCancel(ctx)
	handled := make(chan struct{})
	go p.extend(settling, m, handled)
	v := p.handle(ctx, m)
	close(handled)
	var err error
	if v.done {
		err = m.Ack(settling)
	} else {
		p.complain(fmt.Errorf("%s: %s", m.Delivery, v.reason))
		err = m.Nack(settling, v.retryAfter, v.reason)
	}
	if err != nil {
		p.complain(fmt.Errorf("%s: it may come again: %w", m.Delivery, err))
	}
}

// extend keeps the lease of m until it is handled.
func (p *puller) extend(ctx context.Context, m client.Pulled, handled <-chan struct{}) {
	again := time.NewTicker(p.lease / 2)
	defer again.Stop()
	for {
		select {
		case <-handled:
			return
		case <-again.C:
			if err := m.Extend(ctx, p.lease); err != nil {
				p.complain(fmt.Errorf("%s: extend its lease: %w", m.Delivery, err))
			}
		}
	}
}

// print prints a message.
func (p *puller) print(_ context.Context, m client.Pulled) verdict {
	text, err := json.Marshal(m.PulledMessage)
	if err == nil {
		p.mu.Lock()
		defer p.mu.Unlock()
		_, err = p.out.Write(append(text, '\n'))
	}
	if err != nil {
		return verdict{reason: "it could not be printed: " + err.Error()}
	}
	return verdict{done: true}
}

// runCommand runs the command for a message.
func (p *puller) runCommand(ctx context.Context, m client.Pulled) verdict {
	text, err := json.Marshal(m.PulledMessage)
	if err != nil {
		return verdict{reason: err.Error()}
	}
	command := exec.CommandContext(ctx, "sh", "-c", p.exec) //nolint:gosec // the user's own command
	command.Stdin = bytes.NewReader(append(text, '\n'))
	command.Stdout, command.Stderr = lockedWriter{p, p.out}, lockedWriter{p, p.errs}
	command.WaitDelay = time.Second // for what it has started, which may hold its output
	if err := command.Run(); err != nil {
		return verdict{reason: "the command failed: " + err.Error()}
	}
	return verdict{done: true}
}

// lockedWriter has the output of commands that run at once come whole.
type lockedWriter struct {
	*puller

	to io.Writer
}

func (w lockedWriter) Write(text []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.to.Write(text) //nolint:wrapcheck // it is that of the writer
}

// post posts a message as a webhook.
func (p *puller) post(ctx context.Context, sender *webhook.Sender, m client.Pulled) verdict {
	ctx, stop := context.WithTimeout(ctx, postdate.DefaultTimeout)
	defer stop()
	attempt, err := sender.Send(ctx, postdate.Message{
		ID: m.ID, Type: m.Type, Entity: m.Entity, Timestamp: m.Timestamp, Data: m.Data, TraceParent: m.Traceparent,
	}, postdate.Target{URL: p.to, Mode: postdate.Standard, Secrets: []postdate.Secret{postdate.Secret(p.secret)}, DeliveryID: m.Delivery})
	switch {
	case err != nil:
		return verdict{reason: err.Error()}
	case attempt.Outcome != postdate.Accepted && attempt.Outcome != postdate.Rescheduled:
		return verdict{reason: attempt.Summary(), retryAfter: attempt.RetryAfter.Duration()}
	}
	fmt.Fprintf(lockedWriter{p, p.out}, "%s  %s\n", m.Delivery, attempt.Summary())
	return verdict{done: true}
}

func (p *puller) complain(err error) {
	fmt.Fprintf(lockedWriter{p, p.errs}, "postdate: %s\n", printable(err.Error()))
}
