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

func TestWith_AsksAgainWhileTheEngineIsBusy(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		answers := []error{
			&serviceerror.ResourceExhausted{Message: "ten at a time"},
			serviceerror.NewUnavailable("a moment"),
			serviceerror.NewWorkflowNotReady("not yet"),
			serviceerror.NewNotFound("workflow update was aborted by closing workflow"),
			serviceerror.NewNotFound("workflow execution already completed"),
		}
		asked := 0
		require.NoError(t, retry.With(t.Context(), func(context.Context) error {
			if asked == len(answers) {
				return nil
			}
			asked++
			return answers[asked-1]
		}))
		assert.Equal(t, len(answers), asked)
	})
}

func TestWith_AnswersAtOnceWhatWouldStayTheSame(t *testing.T) {
	t.Parallel()
	for _, final := range []error{errors.New("no"), serviceerror.NewNotFound("workflow not found")} {
		asked := 0
		err := retry.With(t.Context(), func(context.Context) error { asked++; return final })
		require.ErrorIs(t, err, final)
		assert.Equal(t, 1, asked)
	}
}

func TestWith_AnswersTheLastOfTheEnginesWhenTheTimeIsOver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithTimeout(t.Context(), 10*time.Second)
		defer stop()
		busy := serviceerror.NewUnavailable("for long")
		began := time.Now()
		err := retry.With(ctx, func(context.Context) error { return busy })
		require.ErrorIs(t, err, busy)
		assert.Equal(t, 10*time.Second, time.Since(began), "no longer than it may")
	})
}
