package deliveries

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	sdkpb "go.temporal.io/api/sdk/v1"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/sdk/converter"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/executions"
	"github.com/postdate/postdate/protocol"
)

// The SDK gives every timer a summary of its own where we give none.
func TestReadEvent_ATimerBeforeAnActivityIsNoRefusal(t *testing.T) {
	t.Parallel()
	now := time.Now()
	timer := func(summary string) *historypb.HistoryEvent {
		payload, err := converter.GetDefaultDataConverter().ToPayload(summary)
		require.NoError(t, err)
		return &historypb.HistoryEvent{
			EventTime: timestamppb.New(now), UserMetadata: &sdkpb.UserMetadata{Summary: payload},
			Attributes: &historypb.HistoryEvent_TimerStartedEventAttributes{TimerStartedEventAttributes: &historypb.TimerStartedEventAttributes{
				StartToFireTimeout: durationpb.New(time.Hour),
			}},
		}
	}
	sent := &historypb.HistoryEvent{Attributes: &historypb.HistoryEvent_ActivityTaskScheduledEventAttributes{
		ActivityTaskScheduledEventAttributes: &historypb.ActivityTaskScheduledEventAttributes{
			ActivityType: &commonpb.ActivityType{Name: protocol.SendActivity},
		},
	}}
	for name, test := range map[string]struct {
		events []*historypb.HistoryEvent
		state  postdate.State
	}{
		"parked, then sent":    {[]*historypb.HistoryEvent{timer("AwaitWithTimeout"), sent}, postdate.Sending},
		"sent without success": {[]*historypb.HistoryEvent{timer("AwaitWithTimeout"), sent, timer("no slot")}, postdate.Retrying},
	} {
		s, r := &Store{executions: executions.New(executions.Config{})}, &record{info: &workflowpb.WorkflowExecutionInfo{Status: enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING}}
		state, err := converter.GetDefaultDataConverter().ToPayload(string(postdate.Retrying))
		require.NoError(t, err)
		r.info.SearchAttributes = &commonpb.SearchAttributes{IndexedFields: map[string]*commonpb.Payload{protocol.AttrState.GetName(): state}}
		for _, event := range test.events {
			require.NoError(t, s.readEvent(r, event))
		}
		require.Equal(t, test.state, r.state(now), name)
	}
}
