package retry_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.temporal.io/api/serviceerror"

	"github.com/postdate/postdate/internal/retry"
)

func TestWith_RepeatsWhatTemporalRefusesForAMoment(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		failures := []error{
			&serviceerror.ResourceExhausted{Message: "ten at a time"},
			serviceerror.NewUnavailable("a moment"),
			serviceerror.NewWorkflowNotReady("not yet"),
			serviceerror.NewNotFound("workflow update was aborted by closing workflow"),
			serviceerror.NewNotFound("workflow execution already completed"),
		}
		calls := 0
		require.NoError(t, retry.With(t.Context(), func(context.Context) error {
			if calls == len(failures) {
				return nil
			}
			calls++
			return failures[calls-1]
		}))
		assert.Equal(t, len(failures), calls)
	})
}

func TestWith_ReturnsAPermanentErrorAtOnce(t *testing.T) {
	t.Parallel()
	for _, final := range []error{errors.New("no"), serviceerror.NewNotFound("workflow not found")} {
		calls := 0
		err := retry.With(t.Context(), func(context.Context) error { calls++; return final })
		require.ErrorIs(t, err, final)
		assert.Equal(t, 1, calls)
	}
}

func TestWith_ReturnsTheLastErrorWhenItsTimeIsOver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithTimeout(t.Context(), 10*time.Second)
		defer stop()
		busy := serviceerror.NewUnavailable("busy")
		began := time.Now()
		err := retry.With(ctx, func(context.Context) error { return busy })
		require.ErrorIs(t, err, busy)
		assert.Equal(t, 10*time.Second, time.Since(began), "no longer than it may")
	})
}
