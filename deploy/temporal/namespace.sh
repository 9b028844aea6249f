#!/bin/sh
# Makes the namespace, sets its retention, and registers the search attributes
# that Postdate's lists ask by. Each step leaves alone what is there already.
# TEMPORAL_ADDRESS and TEMPORAL_NAMESPACE say where.
set -eu

# The port opens before the cluster is ready.
tries=0
until temporal operator cluster health >/dev/null 2>&1; do
	tries=$((tries + 1))
	if [ "$tries" -ge 60 ]; then
		echo "Temporal at $TEMPORAL_ADDRESS is not healthy after $tries tries" >&2
		exit 1
	fi
	sleep 1
done

if temporal operator namespace describe --namespace "$TEMPORAL_NAMESPACE" >/dev/null 2>&1; then
	temporal operator namespace update --namespace "$TEMPORAL_NAMESPACE" --retention "$RETENTION"
else
	temporal operator namespace create --namespace "$TEMPORAL_NAMESPACE" --retention "$RETENTION"
fi

# A new namespace reaches the server's caches within seconds.
tries=0
until temporal operator search-attribute create --namespace "$TEMPORAL_NAMESPACE" \
	--name Tenant --type Keyword \
	--name State --type Keyword \
	--name Burst --type Keyword \
	--name Import --type Keyword \
	--name Size --type Keyword \
	--name Entity --type KeywordList \
	--name Endpoint --type KeywordList \
	--name MessageType --type KeywordList; do
	tries=$((tries + 1))
	if [ "$tries" -ge 30 ]; then
		echo "the search attributes could not be registered" >&2
		exit 1
	fi
	sleep 1
done
