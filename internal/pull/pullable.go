package pull

import (
	"context"
	"errors"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"

	"github.com/postdate/postdate/protocol"
)

// queryTimeout bounds a query.
const queryTimeout = 5 * time.Second

// pullable queries whether anything could be reserved now. For an endpoint without an
// execution nothing waits; where the query fails, it is asked again later.
func (q *queue) pullable(ctx context.Context) bool {
	ctx, stop := context.WithTimeout(ctx, queryTimeout)
	defer stop()
	answer, err := q.store.temporal.QueryWorkflowWithOptions(ctx, &client.QueryWorkflowWithOptionsRequest{
		WorkflowID: protocol.EndpointID(q.ref.Tenant, q.ref.Endpoint), QueryType: protocol.QueryPullable, Args: []any{time.Now()},
		QueryRejectCondition: enumspb.QUERY_REJECT_CONDITION_NOT_OPEN,
	})
	var found protocol.Pullable
	_, none := errors.AsType[*serviceerror.NotFound](err)
	switch {
	case none || err == nil && answer.QueryRejected != nil:
		return false
	case err != nil || answer.QueryResult.Get(&found) != nil:
		return false
	}
	return found.N > 0
}
