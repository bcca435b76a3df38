-- What was finished in the last minute is asked for over all stages.
CREATE INDEX tasks_by_end ON tasks (finished_at) WHERE state = 'done';
DROP INDEX tasks_finished;
