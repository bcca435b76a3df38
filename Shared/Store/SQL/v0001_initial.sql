-- People, their photos, what was asked for, the work it became, and what came out.
-- Pictures and tensors are in the object store; rows hold their keys.

CREATE TABLE people (
    id          uuid PRIMARY KEY,
    name        text NOT NULL UNIQUE,
    created_at  timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE photos (
    id            uuid PRIMARY KEY,
    person_id     uuid NOT NULL REFERENCES people ON DELETE CASCADE,
    position      integer NOT NULL,
    filename      text NOT NULL,
    content_hash  text NOT NULL,             -- SHA-256 of the file, hex
    object_key    text NOT NULL,
    media_type    text NOT NULL,
    width         integer NOT NULL,
    height        integer NOT NULL,
    caption       text,
    created_at    timestamptz NOT NULL DEFAULT now(),
    UNIQUE (person_id, content_hash),        -- adding the same photo again changes nothing
    UNIQUE (person_id, position)
);

CREATE TABLE prompts (
    id            uuid PRIMARY KEY,
    content_hash  text NOT NULL UNIQUE,      -- SHA-256 of the text, hex
    text          text NOT NULL,
    created_at    timestamptz NOT NULL DEFAULT now()
);

-- Weights that were used or trained. `hash` names the exact weights.
CREATE TABLE models (
    hash        text PRIMARY KEY,
    kind        text NOT NULL,               -- pipeline, dreambooth, ...
    name        text NOT NULL,
    person_id   uuid REFERENCES people ON DELETE CASCADE,
    object_key  text,                        -- where the weights are, if in the object store
    config      jsonb NOT NULL DEFAULT '{}',
    created_at  timestamptz NOT NULL DEFAULT now()
);

-- The cache of embeddings: one row for each input, by content, and the model that embedded it.
CREATE TABLE embeddings (
    kind          text NOT NULL CHECK (kind IN ('image', 'text')),
    content_hash  text NOT NULL,
    model         text NOT NULL,
    object_key    text NOT NULL,             -- a safetensors file
    created_at    timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (kind, content_hash, model)
);

CREATE TABLE jobs (
    id               uuid PRIMARY KEY,
    kind             text NOT NULL CHECK (kind IN ('generate', 'embed', 'train')),
    person_id        uuid NOT NULL REFERENCES people ON DELETE CASCADE,
    state            text NOT NULL DEFAULT 'queued'
                     CHECK (state IN ('queued', 'running', 'done', 'failed', 'cancelled')),
    request          jsonb NOT NULL,
    idempotency_key  text UNIQUE,            -- a client's retry of the same POST finds the first job
    notices          text[] NOT NULL DEFAULT '{}',
    contact_sheet    text,                   -- object key
    created_at       timestamptz NOT NULL DEFAULT now(),
    finished_at      timestamptz
);
CREATE INDEX jobs_by_time ON jobs (created_at DESC);

CREATE TABLE tasks (
    id            uuid PRIMARY KEY,
    job_id        uuid NOT NULL REFERENCES jobs ON DELETE CASCADE,
    stage         text NOT NULL CHECK (stage IN ('encode', 'aggregate', 'denoise', 'evaluate', 'train')),
    position      integer NOT NULL,          -- order within the job
    payload       jsonb NOT NULL,
    state         text NOT NULL
                  CHECK (state IN ('waiting', 'queued', 'running', 'done', 'failed', 'cancelled')),
    pending       integer NOT NULL DEFAULT 0,  -- dependencies not yet done
    attempt       integer NOT NULL DEFAULT 0,  -- claims so far; fences off a worker that lost its lease
    max_attempts  integer NOT NULL DEFAULT 5,
    worker        text,
    lease_until   timestamptz,
    result        jsonb,
    error         text,
    created_at    timestamptz NOT NULL DEFAULT now(),
    queued_at     timestamptz,
    started_at    timestamptz,
    finished_at   timestamptz
);
CREATE INDEX tasks_by_job ON tasks (job_id, position);
CREATE INDEX tasks_queued ON tasks (stage, queued_at) WHERE state = 'queued';
CREATE INDEX tasks_leases ON tasks (lease_until) WHERE state = 'running';
CREATE INDEX tasks_finished ON tasks (stage, finished_at) WHERE state = 'done';

CREATE TABLE task_dependencies (
    task_id     uuid NOT NULL REFERENCES tasks ON DELETE CASCADE,
    depends_on  uuid NOT NULL REFERENCES tasks ON DELETE CASCADE,
    PRIMARY KEY (task_id, depends_on)
);
CREATE INDEX task_dependents ON task_dependencies (depends_on);

-- The pictures. One row for each denoise task, however often it ran.
CREATE TABLE results (
    task_id     uuid PRIMARY KEY REFERENCES tasks ON DELETE CASCADE,
    job_id      uuid NOT NULL REFERENCES jobs ON DELETE CASCADE,
    method      text NOT NULL,
    prompt_id   uuid NOT NULL REFERENCES prompts,
    index       integer NOT NULL,
    seed        numeric(20) NOT NULL,        -- an unsigned 64-bit number
    object_key  text NOT NULL,
    width       integer NOT NULL,
    height      integer NOT NULL,
    seconds     double precision NOT NULL,
    model       text NOT NULL,
    worker      text NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX results_by_job ON results (job_id);

CREATE TABLE metrics (
    job_id   uuid NOT NULL REFERENCES jobs ON DELETE CASCADE,
    method   text NOT NULL,
    name     text NOT NULL,
    value    double precision,               -- null: could not be had, note says why
    samples  integer NOT NULL,
    note     text,
    PRIMARY KEY (job_id, method, name)
);

-- Messages that a committed transaction owes to the broker. The relay publishes with confirms, then deletes.
CREATE TABLE outbox (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    routing_key   text NOT NULL,
    message_id    uuid NOT NULL,
    body          jsonb NOT NULL,
    available_at  timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX outbox_available ON outbox (available_at, id);

-- Processes that run or ran.
CREATE TABLE workers (
    id          text PRIMARY KEY,
    service     text NOT NULL,
    host        text NOT NULL,
    pid         integer NOT NULL,
    state       text NOT NULL,
    activity    text,
    tasks_done  integer NOT NULL DEFAULT 0,
    started_at  timestamptz NOT NULL DEFAULT now(),
    seen_at     timestamptz NOT NULL DEFAULT now()
);
