package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/postdate/postdate/internal/importer"
)

// The exit statuses of import.
const (
	exitRejected = 1
	exitBroken   = 2
)

// exitError is an error that ends the program with a status of its own.
type exitError struct {
	error
	status int
}

func (e exitError) Unwrap() error { return e.error }

// fileImport is one run of import.
type fileImport struct {
	url, data, tenant, name, format, rejects string
	dryRun                                   bool
	giveUp                                   time.Duration
	key                                      string
	stdin                                    io.Reader

	mu                       sync.Mutex
	created, exists, refused int
	rejectsFile              *os.File
	bar                      *progressbar.ProgressBar
	messages                 io.Writer
}

const importHelp = `Import creates a schedule for each line of a file, or of what comes on "-".

The file is NDJSON (one schedule as JSON to a line) or, where its name ends in
.csv or --format says so, CSV with a header. Either may be packed by gzip.

If it breaks off, run the same command again: nothing is made twice. It goes on
by itself where the connection or the server fails, for as long as --give-up.

  Exit status 0   every line is kept: it was created, or existed already
              1   some lines were rejected: they stand, with the reasons, in the
                  file that --rejects names; all others are kept
              2   it broke off, and lines may be missing: run it again

The import has a name: --import, or one made of the file's name and its content.
Ids of lines without one follow from it and from the line's number. By it the
import can be looked at, cancelled or put off as one:

  GET  /v1/imports/NAME
  POST /v1/deliveries/cancel     {"import": "NAME"}
  POST /v1/deliveries/postpone   {"import": "NAME", "by": "24h"}

What comes on "-" has no name but that of --import: without it, running the same
command again makes everything twice.

CSV: each column is a field of a schedule: id, type, due_at, … A point leads
inside: to.url, data.customer.id. Nothing is guessed: every cell is text, unless
the column's name says :number, :bool or :json (data.amount:number). An empty cell
is a field that is missing.

The key is POSTDATE_KEY, or POSTDATE_ADMIN_KEY, or the one that "postdate dev"
keeps under --data. The address is --url, or POSTDATE_API_URL.`

func newImport(environ []string) *cobra.Command {
	f := new(fileImport)
	cmd := &cobra.Command{
		Use:   "import FILE|-",
		Short: "Create schedules from a file, of any number",
		Long:  importHelp,
		Example: `  postdate import settlements.ndjson
  postdate import --dry-run settlements.csv        # say what is wrong, and make nothing
  zcat a.gz b.gz | postdate import --import settlements-2026-12-01 -`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			f.stdin, f.messages = cmd.InOrStdin(), cmd.ErrOrStderr()
			err := f.run(cmd.Context(), environ, args[0], cmd.OutOrStdout())
			if _, known := errors.AsType[exitError](err); err != nil && !known {
				return exitError{err, exitBroken}
			}
			return err
		},
	}
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return exitError{err, exitBroken} })
	flags := cmd.Flags()
	flags.StringVar(&f.url, "url", "", "where the API is (default $POSTDATE_API_URL or http://127.0.0.1:8080)")
	flags.StringVar(&f.tenant, "tenant", "", "for which tenant, with the operator's key")
	flags.StringVar(&f.name, "import", "", "the import's name: A-Z a-z 0-9 _ - : ., at most 128")
	flags.StringVar(&f.format, "format", "", "ndjson or csv (default: as the file's name ends, or ndjson)")
	flags.StringVar(&f.rejects, "rejects", "", `where rejected lines go (default: FILE.rejects.ndjson, or import.rejects.ndjson for "-")`)
	flags.BoolVar(&f.dryRun, "dry-run", false, "have each line checked by the API, and make nothing")
	flags.DurationVar(&f.giveUp, "give-up", 10*time.Minute, "how long to try again where nothing is answered any more")
	flags.StringVar(&f.data, "data", defaultData, `the data folder of "postdate dev"`)
	return cmd
}

func (f *fileImport) run(ctx context.Context, environ []string, path string, out io.Writer) error {
	if err := f.configure(environ, path); err != nil {
		return err
	}
	input, total, err := f.open(path)
	if err != nil {
		return err
	}
	defer input.Close()
	source, err := importer.Open(input, f.format)
	if err != nil {
		return err
	}
	defer f.closeRejects()
	f.bar = f.newBar(total)
	err = importer.Run(ctx, importer.Config{
		URL: f.url, Key: f.key, Tenant: f.tenant, Name: f.name, DryRun: f.dryRun, GiveUp: f.giveUp,
		Answered: f.answered, Broke: f.broke,
	}, source)
	_ = f.bar.Finish() // it is about what was shown
	fmt.Fprintln(out, f.summary())
	switch {
	case err != nil:
		return fmt.Errorf("import: it broke off (%w): run the same command again", err)
	case f.refused > 0:
		return exitError{fmt.Errorf("import: %d lines were rejected: see %s", f.refused, f.rejects), exitRejected}
	}
	return nil
}

// configure fills in what the flags leave out.
func (f *fileImport) configure(environ []string, path string) error {
	c, err := loadConfig(environ)
	if err != nil {
		return err
	}
	f.url = strings.TrimRight(cmp.Or(f.url, c.APIURL), "/")
	f.key = cmp.Or(c.Key, c.adminKeys()[0])
	if f.key == "" {
		if f.key, err = readKept(filepath.Join(f.data, adminKeyFile)); err != nil {
			return errors.New(`no key: set POSTDATE_KEY, or start "postdate dev" first in this folder`)
		}
	}
	if f.format == "" {
		f.format = importer.NDJSON
		if strings.HasSuffix(strings.TrimSuffix(strings.ToLower(path), ".gz"), ".csv") {
			f.format = importer.CSV
		}
	}
	if f.rejects == "" {
		f.rejects = path + ".rejects.ndjson"
		if path == "-" {
			f.rejects = "import.rejects.ndjson"
		}
	}
	return nil
}

// open opens the file, counts its lines and names the import. What comes on "-" is not
// counted: -1.
func (f *fileImport) open(path string) (file io.ReadCloser, total int64, err error) {
	if path == "-" {
		if f.name == "" {
			f.name = "stdin-" + strings.ToLower(rand.Text())
		}
		return io.NopCloser(f.stdin), -1, nil
	}
	opened, err := os.Open(path)
	if err != nil {
		return nil, 0, fmt.Errorf("import: %w", err)
	}
	sum := sha256.New()
	source, err := importer.Open(io.TeeReader(opened, sum), f.format)
	for err == nil {
		if _, err = source.Next(); err == nil {
			total++
		}
	}
	if errors.Is(err, io.EOF) {
		_, err = io.Copy(sum, opened) // what its reader had no need of
	}
	if err == nil {
		_, err = opened.Seek(0, io.SeekStart)
	}
	if err != nil {
		_ = opened.Close()
		return nil, 0, fmt.Errorf("import: %s: %w", path, err)
	}
	if f.name == "" {
		f.name = nameOf(path, sum.Sum(nil))
	}
	return opened, total, nil
}

var unnamable = regexp.MustCompile(`[^A-Za-z0-9_:.-]+`)

// nameOf is the name of the import of a file: the same for the same content.
func nameOf(path string, sum []byte) string {
	base := unnamable.ReplaceAllString(filepath.Base(path), "-")
	return base[:min(len(base), 100)] + "-" + hex.EncodeToString(sum[:6])
}

func (f *fileImport) newBar(total int64) *progressbar.ProgressBar {
	to := io.Discard
	if file, ok := f.messages.(*os.File); ok && term.IsTerminal(int(file.Fd())) {
		to = file
	}
	return progressbar.NewOptions64(total,
		progressbar.OptionSetWriter(to), progressbar.OptionSetDescription(f.name), progressbar.OptionShowCount(),
		progressbar.OptionShowIts(), progressbar.OptionSetItsString("lines"), progressbar.OptionSetPredictTime(true),
		progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionFullWidth(), progressbar.OptionOnCompletion(func() { fmt.Fprintln(to) }),
	)
}

// answered counts what became of a line, and keeps it with the reason where it was rejected.
func (f *fileImport) answered(line importer.Line, result importer.Result) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	_ = f.bar.Add(1) // it is about what is shown
	switch result.Status {
	case 201:
		f.created++
		return nil
	case 200:
		f.exists++
		return nil
	}
	f.refused++
	if f.rejectsFile == nil {
		file, err := os.OpenFile(f.rejects, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
		if err != nil {
			return fmt.Errorf("keep what is rejected: %w", err)
		}
		f.rejectsFile = file
	}
	text, err := json.Marshal(struct {
		importer.Result

		Input string `json:"input,omitempty"`
	}{result, string(line.Text)})
	if err == nil {
		_, err = f.rejectsFile.Write(append(text, '\n'))
	}
	if err != nil {
		return fmt.Errorf("keep what is rejected: %w", err)
	}
	return nil
}

func (f *fileImport) closeRejects() {
	if f.rejectsFile != nil {
		_ = f.rejectsFile.Close() // each line was written
	}
}

// broke says that a connection broke, and when it is tried again.
func (f *fileImport) broke(err error, wait time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	fmt.Fprintf(f.messages, "\npostdate: %s: %s: again in %s\n", f.name, err, wait.Round(100*time.Millisecond))
}

func (f *fileImport) summary() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.dryRun {
		return fmt.Sprintf("%s: %d lines would be taken, %d rejected; nothing was made.", f.name, f.exists, f.refused)
	}
	return fmt.Sprintf("%s: %d created, %d existed already, %d rejected.", f.name, f.created, f.exists, f.refused)
}
