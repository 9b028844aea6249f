package engine

import (
	"time"

	"go.temporal.io/server/common/dynamicconfig"
)

// unlimited is far above what one machine can do.
const unlimited = 1_000_000

// pollsPerShard is how many times per second a shard looks for due timers and for tasks
// to dispatch. With the default of 20 half of them wait 25 ms or longer.
const pollsPerShard = 200

// PayloadWarning and MemoWarning are the sizes in bytes from which the server and its
// clients warn of a value, and of a memo. See the package comment.
const (
	PayloadWarning = 3 << 19 // above what a source takes at most, in base64
	MemoWarning    = 256 << 10
)

// dynamicConfig is explained in the package comment.
func dynamicConfig(s *store) dynamicconfig.StaticClient {
	return dynamicconfig.StaticClient{
		dynamicconfig.MatchingNumTaskqueueReadPartitions.Key():  1,
		dynamicconfig.MatchingNumTaskqueueWritePartitions.Key(): 1,
		dynamicconfig.MatchingEnableFairness.Key():              true,

		dynamicconfig.FrontendRPS.Key():                                         unlimited,
		dynamicconfig.FrontendMaxNamespaceRPSPerInstance.Key():                  unlimited,
		dynamicconfig.FrontendMaxNamespaceVisibilityRPSPerInstance.Key():        unlimited,
		dynamicconfig.FrontendMaxConcurrentLongRunningRequestsPerInstance.Key(): unlimited,
		dynamicconfig.FrontendMaxConcurrentBatchOperationPerNamespace.Key():     unlimited,
		dynamicconfig.FrontendPersistenceMaxQPS.Key():                           unlimited,
		dynamicconfig.HistoryRPS.Key():                                          unlimited,
		dynamicconfig.HistoryPersistenceMaxQPS.Key():                            unlimited,
		dynamicconfig.MatchingRPS.Key():                                         unlimited,
		dynamicconfig.MatchingPersistenceMaxQPS.Key():                           unlimited,
		dynamicconfig.WorkerPersistenceMaxQPS.Key():                             unlimited,
		dynamicconfig.BatcherRPS.Key():                                          unlimited,
		dynamicconfig.VisibilityPersistenceMaxReadQPS.Key():                     unlimited,
		dynamicconfig.VisibilityPersistenceMaxWriteQPS.Key():                    unlimited,
		dynamicconfig.SchedulerNamespaceStartWorkflowRPS.Key():                  float64(unlimited),
		dynamicconfig.WorkflowIdReuseMinimalInterval.Key():                      "0s",

		dynamicconfig.ShardIOConcurrency.Key():                 s.shardIO,
		dynamicconfig.TimerProcessorSchedulerWorkerCount.Key(): s.timers,
		dynamicconfig.TimerProcessorMaxPollRPS.Key():           pollsPerShard,
		dynamicconfig.TransferProcessorMaxPollRPS.Key():        pollsPerShard,

		dynamicconfig.BlobSizeLimitWarn.Key(): PayloadWarning,
		dynamicconfig.MemoSizeLimitWarn.Key(): MemoWarning,

		// A run is deleted only once its queues have acknowledged its last tasks: a
		// dead letter that is retried would be listed twice for so long.
		dynamicconfig.TransferProcessorUpdateAckInterval.Key():   3 * time.Second,
		dynamicconfig.VisibilityProcessorUpdateAckInterval.Key(): 3 * time.Second,

		// Bytes as stored: in memory they take about ten times as much.
		dynamicconfig.HistoryCacheSizeBasedLimit.Key():        true,
		dynamicconfig.HistoryCacheHostLevelMaxSizeBytes.Key(): 6 << 20,
		dynamicconfig.EnableHostLevelEventsCache.Key():        true,
		dynamicconfig.EventsHostLevelCacheMaxSizeBytes.Key():  2 << 20,

		dynamicconfig.EnableServerVersionCheck.Key(): false,
		// An overloaded machine looks like a deadlock to it, and then the log holds
		// every goroutine.
		dynamicconfig.DeadlockDumpGoroutines.Key(): false,
	}
}
