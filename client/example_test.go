package client_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"time"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/client"
)

// A payment request expires unless it is paid before: its schedule is made when
// it is, and cancelled when the money comes.
func Example() {
	server := standIn() // yours is at http://127.0.0.1:8080
	defer server.Close()
	api, err := client.New(server.URL, os.Getenv("POSTDATE_ADMIN_KEY"))
	if err != nil {
		panic(err)
	}
	ctx := context.Background()

	made, err := api.CreateScheduleWithResponse(ctx, nil, client.CreateSchedule{
		ID:     "pr_123-expiry",
		Entity: "customer_42",
		Type:   "payment_request.due",
		Data:   []byte(`{"payment_request":"pr_123"}`),
		To:     &postdate.Destination{URL: "https://b.example/hooks"},
		DueAt:  new(time.Date(2027, 1, 1, 9, 0, 0, 0, time.UTC)),
	})
	if err != nil {
		panic(err)
	}
	// 200 is for a request that was made before, and 201 for a new one.
	fmt.Println(made.StatusCode(), made.JSON201.State, made.JSON201.Reason)

	cancelled, err := api.CancelScheduleWithResponse(ctx, "pr_123-expiry")
	if problem, ok := errors.AsType[*client.Problem](err); ok && problem.Code == postdate.Conflict {
		fmt.Println("too late:", problem.Detail)
	} else if err != nil {
		panic(err)
	} else {
		fmt.Println(cancelled.JSON200.State)
	}
	// Output:
	// 201 scheduled sleeps until it is due
	// too late: already delivered
}

// standIn answers as the API would, if the message had been delivered meanwhile.
func standIn() *httptest.Server {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/schedules", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusCreated)
		fmt.Fprint(w, `{"id":"pr_123-expiry","state":"scheduled","reason":"sleeps until it is due"}`)
	})
	mux.HandleFunc("DELETE /v1/schedules/{id}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(http.StatusConflict)
		fmt.Fprint(w, `{"status":409,"title":"Conflict","code":"conflict","detail":"already delivered","request_id":"r1"}`)
	})
	return httptest.NewServer(mux)
}
