package pgtest

import (
	"net/url"
	"strings"
	"testing"
)

// citusStandIn are the parts of Citus' catalog that consentd asks, as Citus 13.2 has them. The tables of a database
// with it stay where they are; what runs on workers is answered from stand_in_workers, JIT by the setting of the role.
const citusStandIn = `SET allow_system_table_mods = on;
INSERT INTO pg_extension (oid, extname, extowner, extnamespace, extrelocatable, extversion)
VALUES (99999, 'citus', 10, 'pg_catalog'::regnamespace, false, '13.2-1');
CREATE TABLE pg_catalog.pg_dist_local_group (groupid int);
INSERT INTO pg_dist_local_group VALUES (0);
CREATE TABLE pg_catalog.pg_dist_partition (logicalrelid regclass, partmethod "char", partkey text, colocationid int);
CREATE TABLE pg_catalog.stand_in_workers (host text, up boolean);
INSERT INTO stand_in_workers VALUES ('worker1', true), ('worker2', true);
CREATE FUNCTION pg_catalog.column_to_column_name(table_name regclass, partkey text) RETURNS text LANGUAGE sql
AS 'SELECT partkey';
CREATE FUNCTION pg_catalog.truncate_local_data_after_distributing_table(table_name regclass) RETURNS void LANGUAGE sql
AS '';
CREATE FUNCTION pg_catalog.create_distributed_table(table_name regclass, by text, colocate_with text,
  shard_count int DEFAULT 0) RETURNS void LANGUAGE sql AS $$ INSERT INTO pg_dist_partition
SELECT table_name, 'h', by, CASE colocate_with WHEN 'none' THEN table_name::oid::int
  ELSE (SELECT colocationid FROM pg_dist_partition WHERE logicalrelid = colocate_with::regclass) END $$;
CREATE FUNCTION pg_catalog.run_command_on_workers(command text, parallel boolean DEFAULT true,
  OUT nodename text, OUT nodeport int, OUT success boolean, OUT result text) RETURNS SETOF record LANGUAGE sql
AS $$ SELECT host, 5432, up, CASE WHEN up THEN coalesce((SELECT split_part(setting, '=', 2) FROM pg_db_role_setting s,
  unnest(s.setconfig) AS setting WHERE s.setrole = current_user::regrole AND s.setdatabase = 0
  AND setting LIKE 'jit=%'), 'on') ELSE 'failed to connect to ' || host || ':5432' END
FROM stand_in_workers ORDER BY host $$;
GRANT ALL ON pg_dist_partition, pg_dist_local_group, stand_in_workers TO PUBLIC`

// CitusStandIn puts a stand-in of Citus' catalog into a database: what consentd says to Citus can be held by it, and
// nothing that Citus does.
func CitusStandIn(t testing.TB, address string) {
	t.Helper()
	run(t, address, citusStandIn)
}

// run runs statements on the database that a URL leads to.
func run(t testing.TB, address, statements string) {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Server(t).Psql(strings.TrimPrefix(u.Path, "/"), statements); err != nil {
		t.Fatal(err)
	}
}

// NodeDown has every read of a table of a database with CitusStandIn fail as on Citus where the node of the rows is
// down; up ends that.
func NodeDown(t testing.TB, address, table string) (up func()) {
	t.Helper()
	run(t, address, `CREATE FUNCTION node_down() RETURNS boolean STABLE LANGUAGE plpgsql AS $$ BEGIN
RAISE 'connection to the remote node worker1:5432 failed' USING ERRCODE = '08006'; END $$;
ALTER TABLE `+table+` RENAME TO out_of_reach;
CREATE VIEW `+table+` AS SELECT * FROM out_of_reach WHERE node_down();
UPDATE pg_dist_partition SET logicalrelid = '`+table+`'::regclass WHERE logicalrelid = 'out_of_reach'::regclass`)
	return func() {
		t.Helper()
		run(t, address, `UPDATE pg_dist_partition SET logicalrelid = 'out_of_reach'::regclass
WHERE logicalrelid = '`+table+`'::regclass;
DROP VIEW `+table+`; ALTER TABLE out_of_reach RENAME TO `+table+`; DROP FUNCTION node_down`)
	}
}
