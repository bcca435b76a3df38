-- Face embeddings that users give with their photos, for FaceID adapters.

ALTER TABLE photos ADD COLUMN face_embedding text;  -- base64 of little-endian 32-bit floats
