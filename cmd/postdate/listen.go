package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/postdate/postdate/signature"
)

// listener is a receiver that verifies and prints what arrives.
type listener struct {
	addr   string
	data   string
	secret string
	status int
}

func newListen(environ []string) *cobra.Command {
	var l listener
	cmd := &cobra.Command{
		Use:   "listen",
		Short: "Receive deliveries, verify their signatures and print them",
		Long: `Listen is a receiver to try things with: it verifies the signature of each
delivery that arrives, prints it, and answers 200.

What goes to a bare url is signed with the tenant's signing secret: listen finds
that in POSTDATE_SIGNING_SECRET, or where "postdate dev" keeps it under --data.
To stand for a registered endpoint, give it that endpoint's secret, or its public
key, with --secret.`,
		Example: `  postdate listen
  postdate listen --addr 127.0.0.1:9001 --status 503   # fail, and watch the retries
  postdate listen --secret whsec_…                     # an endpoint's, as it was shown when it was made`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return l.run(cmd.Context(), environ, cmd.OutOrStdout())
		},
	}
	cmd.Flags().StringVar(&l.addr, "addr", "127.0.0.1:9000", "where to listen: :9000 for all addresses of this machine")
	cmd.Flags().StringVar(&l.data, "data", defaultData, `the data folder of "postdate dev"`)
	cmd.Flags().StringVar(&l.secret, "secret", "", "what to verify with: a secret, whsec_…, or a public key, whpk_…")
	cmd.Flags().IntVar(&l.status, "status", http.StatusOK, "the HTTP status to answer with")
	return cmd
}

func (l listener) run(ctx context.Context, environ []string, out io.Writer) error {
	if l.status < 200 || l.status > 599 {
		return fmt.Errorf("--status %d: from 200 to 599", l.status)
	}
	verifier, err := l.findSecret(environ)
	if err != nil {
		return err
	}
	socket, err := new(net.ListenConfig).Listen(ctx, "tcp", l.addr)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	fmt.Fprintf(out, "Listening on %s. Deliveries to it are verified and answered with %d. Stop with Ctrl-C.\n\n",
		socket.Addr(), l.status)
	server := &http.Server{Handler: l.receive(verifier, out), ReadHeaderTimeout: 10 * time.Second, ReadTimeout: time.Minute}
	return serveUntil(ctx, server, socket, time.Second)
}

func (l listener) findSecret(environ []string) (signature.Verifier, error) {
	text := l.secret
	if text == "" {
		c, err := loadConfig(environ)
		if err != nil {
			return nil, err
		}
		text = c.SigningSecret
	}
	if text == "" {
		kept, err := os.ReadFile(filepath.Join(l.data, signingSecretFile))
		if err != nil {
			return nil, errors.New("no signing secret: start \"postdate dev\" first in this folder, or give --secret or POSTDATE_SIGNING_SECRET")
		}
		text = strings.TrimSpace(string(kept))
	}
	verifier, err := signature.ParseVerifier(text)
	if err != nil {
		return nil, fmt.Errorf("signing secret: %w", err)
	}
	return verifier, nil
}

func (l listener) receive(verifier signature.Verifier, out io.Writer) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		verdict := "signature verified"
		status := l.status
		if err := signature.Verify(r.Header, body, time.Now(), 0, verifier); err != nil {
			verdict, status = "NOT VERIFIED: "+err.Error(), http.StatusUnauthorized
		}
		var text bytes.Buffer
		fmt.Fprintf(&text, "%s  %s  %s, answered %d\n", time.Now().Format("15:04:05.000"),
			printable(r.Header.Get(signature.HeaderID)), verdict, status)
		text.WriteString("  ")
		var indented bytes.Buffer
		if err := json.Indent(&indented, body, "  ", "  "); err != nil {
			indented.Reset()
			indented.Write(body)
		}
		text.WriteString(printable(indented.String()))
		text.WriteString("\n\n")
		_, _ = text.WriteTo(out) // in one write, so that two deliveries do not mix
		w.WriteHeader(status)
	})
}

// printable is text whose control characters are written as escapes, so that what was
// sent cannot command the terminal on which it is read. Lines stay lines.
func printable(text string) string {
	var out strings.Builder
	for _, r := range text {
		if r == '\n' || r == '\t' || unicode.IsPrint(r) {
			out.WriteRune(r)
			continue
		}
		out.WriteString(strings.Trim(strconv.QuoteRune(r), "'"))
	}
	return out.String()
}

// serveUntil serves until ctx is done, then waits up to drain for the requests
// under way.
func serveUntil(ctx context.Context, server *http.Server, socket net.Listener, drain time.Duration) error {
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(socket) }()
	select {
	case err := <-failed:
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	}
	draining, stop := context.WithTimeout(context.WithoutCancel(ctx), drain)
	defer stop()
	if err := server.Shutdown(draining); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("stop serving: %w", err)
	}
	return nil
}
