-- Pictures of websites: one row each, also for those that could not be taken. The images are files, named by the
-- digest of their content. A new table; nothing existing is touched.
CREATE TABLE IF NOT EXISTS site_pictures (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    site text NOT NULL,
    taken_at timestamptz NOT NULL,
    viewport text NOT NULL,
    conditions text NOT NULL,
    file_digest text,
    width integer CHECK (width > 0),
    height integer CHECK (height > 0),
    bytes bigint CHECK (bytes > 0),
    thumbnail_digest text,
    http_status integer,
    is_reference boolean NOT NULL DEFAULT false,
    reference_id bigint REFERENCES site_pictures (id) ON DELETE SET NULL,
    changed_ratio double precision CHECK (changed_ratio BETWEEN 0 AND 1),
    regions jsonb NOT NULL DEFAULT '[]',
    diff_digest text,
    diff_thumbnail_digest text,
    problem text,
    says text CHECK (says IN ('changed', 'failing', 'recovered')),
    told_at timestamptz,
    CONSTRAINT site_pictures_a_picture_or_a_problem CHECK (file_digest IS NOT NULL OR problem IS NOT NULL),
    CONSTRAINT site_pictures_a_reference_is_a_good_picture CHECK (
        NOT is_reference OR (file_digest IS NOT NULL AND problem IS NULL)
    )
);

-- A table that was here before us must be the one we mean.
DO $$
DECLARE
    missing text;
BEGIN
    SELECT string_agg(needed, ', ' ORDER BY position) INTO missing
    FROM unnest(string_to_array(
        'id,site,taken_at,viewport,conditions,file_digest,width,height,bytes,thumbnail_digest,http_status,'
        'is_reference,reference_id,changed_ratio,regions,diff_digest,diff_thumbnail_digest,problem,says,told_at', ','
    )) WITH ORDINALITY AS list (needed, position)
    WHERE NOT EXISTS (
        SELECT FROM pg_attribute
        WHERE attrelid = to_regclass('site_pictures') AND attname = needed AND NOT attisdropped
    );
    IF missing IS NOT NULL THEN
        RAISE EXCEPTION 'the table site_pictures is already there and lacks: %', missing
            USING ERRCODE = 'AE001', HINT = 'rename that table, or give Aegis a database of its own';
    END IF;
END
$$;

CREATE INDEX IF NOT EXISTS site_pictures_newest ON site_pictures (site, id DESC);
CREATE INDEX IF NOT EXISTS site_pictures_references ON site_pictures (site, id DESC) WHERE is_reference;
CREATE INDEX IF NOT EXISTS site_pictures_taken ON site_pictures (taken_at);
CREATE INDEX IF NOT EXISTS site_pictures_untold ON site_pictures (id) WHERE says IS NOT NULL AND told_at IS NULL;
CREATE INDEX IF NOT EXISTS site_pictures_compared ON site_pictures (reference_id) WHERE reference_id IS NOT NULL;

COMMENT ON TABLE site_pictures IS 'One row per picture of a website that was taken, or could not be';
COMMENT ON COLUMN site_pictures.conditions IS 'digest of address and rules under which it was taken; only alike are compared';
COMMENT ON COLUMN site_pictures.file_digest IS 'SHA-256 of the image (PNG), its name under AEGIS_SCREENSHOT_DIR';
COMMENT ON COLUMN site_pictures.thumbnail_digest IS 'of a small WebP of it';
COMMENT ON COLUMN site_pictures.is_reference IS 'later pictures of the site are compared with its newest reference';
COMMENT ON COLUMN site_pictures.reference_id IS 'what it was compared with';
COMMENT ON COLUMN site_pictures.changed_ratio IS 'share of the pixels that differ, without what the rules ignore';
COMMENT ON COLUMN site_pictures.regions IS 'where it changed: [x, y, width, height] in pixels, the largest first';
COMMENT ON COLUMN site_pictures.diff_digest IS 'of the picture that marks what changed (PNG)';
COMMENT ON COLUMN site_pictures.problem IS 'why there is no picture, or why it is of no use to compare';
COMMENT ON COLUMN site_pictures.says IS 'what people are to be told because of it; told_at is when they were';
