-- People's own weights: who has which loaded, and how their training goes.

-- The train task whose result a denoise task needs loaded; null for all others.
ALTER TABLE tasks ADD COLUMN weights uuid REFERENCES tasks ON DELETE CASCADE;
CREATE INDEX tasks_by_weights ON tasks (weights) WHERE weights IS NOT NULL;

-- Object keys of the weights that a process has at hand.
ALTER TABLE workers ADD COLUMN loaded text[] NOT NULL DEFAULT '{}';

-- The log of training runs: one row each time progress is told.
CREATE TABLE training_log (
    task_id            uuid NOT NULL REFERENCES tasks ON DELETE CASCADE,
    step               integer NOT NULL,
    steps              integer NOT NULL,
    loss               double precision NOT NULL,
    images_per_second  double precision NOT NULL,
    seconds_left       double precision NOT NULL,
    created_at         timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (task_id, step)
);
