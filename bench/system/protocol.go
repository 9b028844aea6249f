package system

import (
	enumspb "go.temporal.io/api/enums/v1"

	"github.com/postdate/postdate/protocol"
)

// The names under which Temporal knows Postdate's executions.
const (
	Deliver  = protocol.DeliverWorkflow
	Dispatch = protocol.DispatchWorkflow
	Endpoint = protocol.EndpointWorkflow
	Line     = protocol.LineWorkflow
	// ScheduleGroup carries schedules without ids of their own.
	ScheduleGroup = protocol.ScheduleGroupWorkflow
)

// searchAttributes are those that Postdate has registered with Temporal.
func searchAttributes() map[string]enumspb.IndexedValueType {
	attributes := make(map[string]enumspb.IndexedValueType)
	for _, attribute := range protocol.SearchAttributes {
		attributes[attribute.GetName()] = attribute.GetValueType()
	}
	return attributes
}
