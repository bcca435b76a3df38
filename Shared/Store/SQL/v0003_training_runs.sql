-- Training runs of the miniature family are jobs of nobody in particular.
ALTER TABLE jobs ALTER COLUMN person_id DROP NOT NULL;
ALTER TABLE jobs ADD CONSTRAINT jobs_have_a_person CHECK (kind = 'train' OR person_id IS NOT NULL);
