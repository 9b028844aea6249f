package apiserver

import "context"

// GetHealth answers as long as this process is alive.
func (s *server) GetHealth(context.Context, GetHealthRequestObject) (GetHealthResponseObject, error) {
	return GetHealth200JSONResponse{Status: "ok", Version: s.Version}, nil
}

// GetReadiness checks that messages can be accepted and delivered.
func (s *server) GetReadiness(ctx context.Context, _ GetReadinessRequestObject) (GetReadinessResponseObject, error) {
	if err := s.Deliveries.Ready(ctx); err != nil {
		return nil, err
	}
	ready := GetReadiness200JSONResponse{Status: "ready", Version: s.Version}
	for _, each := range s.Streams.All() {
		ready.Streams = append(ready.Streams, StreamReadiness{Name: each.Name, Kind: each.Kind, State: each.State})
	}
	if s.Consumed != nil {
		for _, each := range s.Consumed("") {
			ready.Streams = append(ready.Streams, StreamReadiness{Name: each.Name, Kind: each.Kind, State: each.State})
		}
	}
	return ready, nil
}
