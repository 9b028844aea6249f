package ingest

import (
	"context"
	"errors"
	"fmt"

	"go.temporal.io/sdk/temporal"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/protocol"
)

// ErrIntakeEnded is returned for an Intake that ended without starting what it carries:
// somebody has terminated it.
var ErrIntakeEnded = errors.New("the intake ended before it was done")

// RunIntake starts an Intake, or returns [executions.ErrExists].
func (i *Ingester) RunIntake(ctx context.Context, workflowID string, in protocol.IntakeInput) error {
	_, err := i.executions.Start(ctx, protocol.IntakeOptions(workflowID, in), protocol.IntakeWorkflow, in)
	return err
}

// IntakeRecords returns the positions of the records that an Intake carries. found is
// false where there is no such Intake.
func (i *Ingester) IntakeRecords(ctx context.Context, workflowID string) (positions []int64, found bool, err error) {
	described, err := i.executions.Describe(ctx, workflowID, workflowID)
	if postdate.CodeOf(err) == postdate.NotFound {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	var records protocol.IntakeRecords
	err = i.executions.ReadMemo(described.GetWorkflowExecutionInfo(), protocol.MemoIntake, &records)
	return records.Positions, true, err
}

// IntakeResult waits until an Intake has started all that it carries.
func (i *Ingester) IntakeResult(ctx context.Context, workflowID string) (result protocol.IntakeResult, err error) {
	err = i.temporal.GetWorkflow(ctx, workflowID, "").Get(ctx, &result)
	if _, ended := errors.AsType[*temporal.WorkflowExecutionError](err); ended {
		return result, fmt.Errorf("%w: %w", ErrIntakeEnded, err)
	}
	return result, err
}
