package apiserver

import (
	"context"

	"github.com/postdate/postdate"
)

// GetHealth answers as long as this process is alive.
func (s *server) GetHealth(context.Context, GetHealthRequestObject) (GetHealthResponseObject, error) {
	return GetHealth200JSONResponse{Status: "ok", Version: s.Version}, nil
}

// GetReadiness checks that messages can be accepted and delivered.
func (s *server) GetReadiness(ctx context.Context, _ GetReadinessRequestObject) (GetReadinessResponseObject, error) {
	polling, err := s.Deliveries.WorkerPolling(ctx)
	if err != nil {
		return nil, err
	}
	if !polling {
		return nil, postdate.Errorf(postdate.Unavailable, "", "no worker is running")
	}
	return GetReadiness200JSONResponse{Status: "ready", Version: s.Version}, nil
}
