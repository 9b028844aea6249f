package codec

import (
	"context"
	"fmt"

	commonpb "go.temporal.io/api/common/v1"
	failurepb "go.temporal.io/api/failure/v1"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"
	"google.golang.org/protobuf/proto"
)

// NewDataConverter answers Temporal's default data converter with all that it
// makes encrypted, and raw JSON kept byte for byte. What is not encrypted it refuses. It is for
// client.Options.DataConverter, together with [NewFailureConverter].
//
// In workflow code a payload that cannot be decrypted stops the workflow task,
// which the engine repeats until a worker with the key takes it. As an error it
// would fail the workflow, drop the signal or look like a failed activity: a key
// missing for a minute would end what slept for years.
func NewDataConverter(ring *Ring) converter.DataConverter {
	sealed := converter.NewCodecDataConverter(plain(), sealedOnly{New(ring)})
	return &dataConverter{DataConverter: sealed, taskFailing: taskFailing{sealed}}
}

type dataConverter struct {
	converter.DataConverter
	taskFailing taskFailing
}

var _ converter.ContextAware = (*dataConverter)(nil)

// WithWorkflowContext answers the converter for workflow code.
func (c *dataConverter) WithWorkflowContext(converter.WorkflowContext) converter.DataConverter {
	return &c.taskFailing
}

// WithContext answers c: activities are repeated when they fail.
func (c *dataConverter) WithContext(context.Context) converter.DataConverter { return c }

// taskFailing panics where a payload cannot be decrypted, which the SDK makes a
// failed workflow task of, under its default policy.
type taskFailing struct{ converter.DataConverter }

func (c *taskFailing) FromPayload(payload *commonpb.Payload, valuePtr any) error {
	return failTask(c.DataConverter.FromPayload(payload, valuePtr))
}

func (c *taskFailing) FromPayloads(payloads *commonpb.Payloads, valuePtrs ...any) error {
	return failTask(c.DataConverter.FromPayloads(payloads, valuePtrs...))
}

func failTask(err error) error {
	if isOurs(err) {
		panic(err)
	}
	return err
}

// NewFailureConverter answers Temporal's default failure converter, but that
// messages and stack traces go through data, as the details of errors do. A
// failure that cannot be decrypted says so in its message.
func NewFailureConverter(data converter.DataConverter) converter.FailureConverter {
	return &failureConverter{
		FailureConverter: temporal.NewDefaultFailureConverter(temporal.DefaultFailureConverterOptions{
			DataConverter:          data,
			EncodeCommonAttributes: true,
		}),
		data: data,
	}
}

type failureConverter struct {
	converter.FailureConverter
	data converter.DataConverter
}

// FailureToError implements [converter.FailureConverter]. It works on a copy:
// the SDK's converter writes the decrypted message into the failure that it is
// given, and one converted twice would go back to the engine in the clear.
func (c *failureConverter) FailureToError(failure *failurepb.Failure) error {
	if failure == nil {
		return nil
	}
	failure = proto.CloneOf(failure)
	for each := failure; each != nil; each = each.GetCause() {
		var attributes struct{} // whatever they are: here it matters whether they can be read
		if err := c.data.FromPayload(each.GetEncodedAttributes(), &attributes); err != nil {
			each.Message = fmt.Sprintf("what failed cannot be read: %s", err)
		}
	}
	return c.FailureConverter.FailureToError(failure)
}
