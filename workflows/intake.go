package workflows

import (
	"go.temporal.io/sdk/workflow"

	"github.com/postdate/postdate/protocol"
)

// Intake starts what the records of a stream ask for. Once it is started the records need
// not be read again: whatever is not started yet will be.
func Intake(ctx workflow.Context, in protocol.IntakeInput) (protocol.IntakeResult, error) {
	var result protocol.IntakeResult
	err := runDurably(ctx, protocol.StartIntakeActivity, in, &result)
	return result, err
}
