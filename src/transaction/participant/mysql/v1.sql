CREATE TABLE IF NOT EXISTS {database}.participant_outcome (
    coordinator BINARY(16) NOT NULL,
    epoch BIGINT UNSIGNED NOT NULL,
    sequence BIGINT UNSIGNED NOT NULL,
    number SMALLINT UNSIGNED NOT NULL,
    outcome TINYINT UNSIGNED NOT NULL,
    PRIMARY KEY (coordinator, epoch, sequence, number)
) ENGINE = InnoDB DEFAULT CHARACTER SET = binary;
CREATE TABLE IF NOT EXISTS {database}.participant_fence (
    coordinator BINARY(16) NOT NULL PRIMARY KEY,
    epoch BIGINT UNSIGNED NOT NULL,
    opening BINARY(16) NOT NULL,
    watermark_epoch BIGINT UNSIGNED NOT NULL DEFAULT 0,
    watermark_sequence BIGINT UNSIGNED NOT NULL DEFAULT 0
) ENGINE = InnoDB DEFAULT CHARACTER SET = binary
