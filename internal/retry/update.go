package retry

import (
	"context"

	"github.com/google/uuid"
	"go.temporal.io/sdk/client"
)

// Start is how to start the execution that an Update is sent to.
type Start struct {
	Options  client.StartWorkflowOptions
	Workflow string
	Input    any
}

// Update sends an Update to an execution, and decodes its result into result. However
// often it is repeated, the execution handles it once. Where start is not nil, the
// execution is started if it does not run.
func Update(ctx context.Context, c client.Client, start *Start, workflowID, name string, arg, result any) error {
	return With(ctx, NewUpdate(c, start, workflowID, name, result, arg))
}

// NewUpdate is one try of [Update], for callers who look at its error before they repeat
// it.
func NewUpdate(c client.Client, start *Start, workflowID, name string, result any, args ...any) func(context.Context) error {
	options := client.UpdateWorkflowOptions{
		// The same on every try, so that Temporal delivers it once.
		UpdateID:     uuid.NewString(),
		WorkflowID:   workflowID,
		UpdateName:   name,
		Args:         args,
		WaitForStage: client.WorkflowUpdateStageCompleted,
	}
	return func(ctx context.Context) error {
		handle, err := send(ctx, c, start, options)
		if err != nil {
			return err
		}
		return handle.Get(ctx, result)
	}
}

func send(ctx context.Context, c client.Client, start *Start, options client.UpdateWorkflowOptions) (client.WorkflowUpdateHandle, error) {
	if start == nil {
		return c.UpdateWorkflow(ctx, options) //nolint:wrapcheck // see Update
	}
	//nolint:wrapcheck // see Update
	return c.UpdateWithStartWorkflow(ctx, client.UpdateWithStartWorkflowOptions{
		// An operation can be used once.
		StartWorkflowOperation: c.NewWithStartWorkflowOperation(start.Options, start.Workflow, start.Input),
		UpdateOptions:          options,
	})
}
