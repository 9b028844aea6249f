package engine

import (
	"strings"

	"go.temporal.io/server/common/config"
	"go.temporal.io/server/common/log"
	"go.temporal.io/server/tools/common/schema"
	toolsql "go.temporal.io/server/tools/sql"
)

// upgradeSchema brings a database from any version, or none, to this server's.
func upgradeSchema(c *config.SQL, name string) error {
	conn, err := toolsql.NewConnection(c, log.NewNoopLogger())
	if err != nil {
		return err
	}
	defer conn.Close()
	db := schemaConnection{conn}
	setUp := schema.NewSetupSchemaTask(db, &schema.SetupConfig{InitialVersion: "0.0"}, log.NewNoopLogger())
	if err := setUp.Run(); err != nil {
		return err
	}
	return schema.NewUpdateSchemaTask(db, &schema.UpdateConfig{SchemaName: name}, log.NewNoopLogger()).Run()
}

// schemaConnection lets an upgrade drop an index that we have dropped before.
type schemaConnection struct{ *toolsql.Connection }

func (c schemaConnection) Exec(stmt string, args ...any) error {
	err := c.Connection.Exec(stmt, args...)
	if hasCode(err, undefinedObject) && strings.HasPrefix(stmt, "DROP INDEX") {
		return nil
	}
	return err
}
