package payments

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/client"
)

//go:embed page.html
var pageHTML []byte

// Page shows, live, what happens: requests by state, what sleeps in Postdate until when, and
// what each subscriber got.
type Page struct {
	DB          Database
	Subscribers Database
	API         client.ClientWithResponsesInterface
	// Every is how often it looks. Default half a second.
	Every time.Duration

	mu     sync.Mutex
	looked time.Time
	shown  []byte
}

// view is what the page shows.
type view struct {
	Now         time.Time         `json:"now"`
	States      map[State]int     `json:"states"`
	Requests    []Request         `json:"requests"`
	Sleeping    []sleeper         `json:"sleeping"`
	Subscribers map[string]*inbox `json:"subscribers"`
}

// sleeper is a delivery in Postdate that is not over.
type sleeper struct {
	ID    string         `json:"id"`
	State postdate.State `json:"state"`
	DueAt time.Time      `json:"due_at"`
}

// inbox is what a subscriber got.
type inbox struct {
	Count  int            `json:"count"`
	Latest []notification `json:"latest"`
}

type notification struct {
	Request string    `json:"request"`
	Type    string    `json:"type"`
	At      time.Time `json:"at"`
}

// Handler serves the page, and what it shows as server-sent events.
func (p *Page) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; img-src data:")
		_, _ = w.Write(pageHTML)
	})
	mux.HandleFunc("GET /live", p.stream)
	return mux
}

// stream sends what is shown again and again, until the browser is gone.
func (p *Page) stream(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	to := http.NewResponseController(w)
	for r.Context().Err() == nil {
		now, err := p.view(r.Context())
		if err != nil {
			_, _ = fmt.Fprintf(w, "event: trouble\ndata: %q\n\n", err.Error())
		} else {
			_, _ = fmt.Fprintf(w, "data: %s\n\n", now)
		}
		if to.Flush() != nil {
			return
		}
		sleep(r.Context(), p.every())
	}
}

func (p *Page) every() time.Duration {
	if p.Every > 0 {
		return p.Every
	}
	return 500 * time.Millisecond
}

// view is looked up once for all browsers.
func (p *Page) view(ctx context.Context) ([]byte, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if time.Since(p.looked) < p.every()/2 {
		return p.shown, nil
	}
	v := view{Now: time.Now().UTC(), States: map[State]int{Pending: 0, Paid: 0, Expired: 0}, Subscribers: map[string]*inbox{}}
	for _, look := range []func(context.Context, *view) error{p.states, p.requests, p.sleeping, p.inboxes} {
		if err := look(ctx, &v); err != nil {
			return nil, err
		}
	}
	shown, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("write the view: %w", err)
	}
	p.looked, p.shown = time.Now(), shown
	return shown, nil
}

func (p *Page) states(ctx context.Context, v *view) error {
	return each(ctx, p.DB, `SELECT state, COUNT(*) FROM payment_requests GROUP BY state`, func(scan func(...any) error) error {
		var state State
		var n int
		err := scan(&state, &n)
		v.States[state] = n
		return err
	})
}

// requests are those that expire next, and those that were settled last.
func (p *Page) requests(ctx context.Context, v *view) error {
	const columns = `SELECT id, payee, payer, cents, state, expires_at, reminders FROM payment_requests r `
	for _, query := range []string{
		columns + `WHERE state = 'PENDING' ORDER BY expires_at LIMIT 6`,
		columns + `WHERE state <> 'PENDING' ORDER BY (SELECT MAX(at) FROM transitions WHERE request_id = r.id) DESC LIMIT 4`,
	} {
		err := each(ctx, p.DB, query, func(into func(...any) error) error {
			r, err := scan(into)
			v.Requests = append(v.Requests, r)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// sleeping asks Postdate what sleeps, and what waits for its next attempt.
func (p *Page) sleeping(ctx context.Context, v *view) error {
	limit := 50
	for _, state := range []postdate.State{postdate.Scheduled, postdate.Retrying} {
		list, err := p.API.ListDeliveriesWithResponse(ctx, &client.ListDeliveriesParams{State: &state, Limit: &limit})
		if err != nil {
			return fmt.Errorf("ask Postdate: %w", err)
		}
		for _, d := range list.JSON200.Data {
			v.Sleeping = append(v.Sleeping, sleeper{d.ID, d.State, d.DueAt})
		}
	}
	return nil
}

func (p *Page) inboxes(ctx context.Context, v *view) error {
	const latest = 6
	return each(ctx, p.Subscribers, `SELECT subscriber, request_id, type, at FROM notifications ORDER BY at DESC`, func(scan func(...any) error) error {
		var name string
		var n notification
		var at int64
		if err := scan(&name, &n.Request, &n.Type, &at); err != nil {
			return err
		}
		if v.Subscribers[name] == nil {
			v.Subscribers[name] = &inbox{}
		}
		in := v.Subscribers[name]
		in.Count++
		if len(in.Latest) < latest {
			n.At = time.UnixMilli(at).UTC()
			in.Latest = append(in.Latest, n)
		}
		return nil
	})
}

// each calls do with each row of a query.
func each(ctx context.Context, db Database, query string, do func(scan func(...any) error) error) error {
	rows, err := db.QueryContext(ctx, query)
	if err != nil {
		return fmt.Errorf("read the database: %w", err)
	}
	defer func() { _ = rows.Close() }() // its error is that of rows.Err
	for rows.Next() {
		if err := do(rows.Scan); err != nil {
			return fmt.Errorf("read the database: %w", err)
		}
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("read the database: %w", err)
	}
	return nil
}
