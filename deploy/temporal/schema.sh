#!/bin/sh
# Makes Temporal's two databases and brings their schema up to date. Each step
# leaves alone what is there already. The connection comes from SQL_* variables.
set -eu

versions=${SCHEMA_DIR:-/etc/temporal/schema}/postgresql/v12

prepare() {
	temporal-sql-tool --database "$1" create
	temporal-sql-tool --database "$1" setup-schema --version 0.0
	temporal-sql-tool --database "$1" update-schema --schema-dir "$versions/$2/versioned"
}

prepare temporal temporal
prepare temporal_visibility visibility
