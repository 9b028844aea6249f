package activities

import (
	"context"

	"github.com/postdate/postdate/protocol"
)

// Intake starts what records of streams ask for. It can be repeated.
type Intake interface {
	StartIntake(ctx context.Context, in protocol.IntakeInput) (protocol.IntakeResult, error)
}

// StartIntake starts what the records of an Intake ask for, and returns those that are
// refused.
func (a *Activities) StartIntake(ctx context.Context, in protocol.IntakeInput) (protocol.IntakeResult, error) {
	return a.Intake.StartIntake(ctx, in)
}
