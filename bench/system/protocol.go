package system

import (
	enumspb "go.temporal.io/api/enums/v1"

	"github.com/postdate/postdate/workflows"
)

// The names under which Temporal knows Postdate's executions.
const (
	Deliver  = workflows.DeliverName
	Dispatch = workflows.DispatchName
	Endpoint = workflows.EndpointName
	Line     = workflows.LineName
)

// searchAttributes are those that Postdate has registered with Temporal.
func searchAttributes() map[string]enumspb.IndexedValueType {
	attributes := make(map[string]enumspb.IndexedValueType)
	for _, attribute := range workflows.SearchAttributes {
		attributes[attribute.GetName()] = attribute.GetValueType()
	}
	return attributes
}
