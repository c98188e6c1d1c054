drop table release_changes;
drop table release_channels;
drop table guest_releases;
drop function assay_release_in_use();
drop function assay_releases_changed();
