-- The least rights in PostgreSQL, for the schema public. Run it once in the worker's database, as its owner, before
-- the first `python -m worker migrate`: what that makes later is open to the worker as well.

CREATE ROLE crud_migrate LOGIN PASSWORD 'CHANGE-ME-MIGRATE'; -- `migrate` runs as this one, and owns the tables
CREATE ROLE crud_worker LOGIN PASSWORD 'CHANGE-ME-WORKER'; -- `run` and all else: rows, and no tables
CREATE ROLE crud_reader LOGIN PASSWORD 'CHANGE-ME-READER'; -- `status` and a dashboard that only shows
CREATE ROLE crud_sender LOGIN PASSWORD 'CHANGE-ME-SENDER'; -- a service that writes to the outbox: see the end

REVOKE CREATE ON SCHEMA public FROM PUBLIC;
GRANT USAGE, CREATE ON SCHEMA public TO crud_migrate;
GRANT USAGE ON SCHEMA public TO crud_worker, crud_reader, crud_sender;

ALTER DEFAULT PRIVILEGES FOR ROLE crud_migrate IN SCHEMA public
    GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO crud_worker;
ALTER DEFAULT PRIVILEGES FOR ROLE crud_migrate IN SCHEMA public
    GRANT USAGE ON SEQUENCES TO crud_worker;
ALTER DEFAULT PRIVILEGES FOR ROLE crud_migrate IN SCHEMA public
    GRANT SELECT ON TABLES TO crud_reader;

-- After `migrate`, as crud_migrate:
--     GRANT INSERT ON outbox TO crud_sender;
